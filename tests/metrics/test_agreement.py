"""Top-1 agreement, by hand."""

from __future__ import annotations

from harness.metrics.agreement import measure
from harness.records.results import Measured, Missing
from tests.observations import make_logits, make_outputs, make_read, make_write


def test_the_share_of_positions_with_the_same_best_token() -> None:
    """One position of ten that prefers another token leaves nine tenths; changes that keep the best token leave all."""
    logits_BTV = make_logits(2)
    assert (Measured(metric="top1_agreement", value=1.0, unit="share", num_compared=10),) == measure(
        make_read(reloaded=make_outputs(logits_BTV * 3 + 1))
    )
    logits_BTV[1, 4, (int(logits_BTV[1, 4].argmax()) + 1) % 7] = 99.0
    assert (Measured(metric="top1_agreement", value=0.9, unit="share", num_compared=10),) == measure(
        make_read(reloaded=make_outputs(logits_BTV))
    )


def test_logits_that_cannot_be_compared_are_missing() -> None:
    """Not observed, or of another shape."""
    for reloaded in (None, make_outputs(make_logits(2)[:1])):
        (found,) = measure(make_read(reloaded=reloaded))
        assert isinstance(found, Missing)


def test_a_write_has_none() -> None:
    """Nothing was reloaded yet."""
    assert () == measure(make_write())
