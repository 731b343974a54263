"""What a write saved and no reader can make sense of is counted."""

from __future__ import annotations

from harness.metrics.contradictions import NAME, measure
from harness.records.jobs import Contradiction
from harness.records.results import Measured, Missing
from tests.observations import answered, make_read, make_write

TWO = tuple(Contradiction(kind="index_mismatch", message="no", file=name) for name in ("a", "b"))


def test_contradictions_are_counted() -> None:
    """Over all tensors that were looked for; none is a number too, and not silence."""
    clean = make_write()
    assert clean.weights is not None
    for observed, value in ((clean, 0.0), (answered(clean, contradictions=TWO), 2.0)):
        (found,) = measure(observed)
        expected = Measured(metric=NAME, value=value, unit="contradictions", num_compared=len(clean.weights.name))
        assert expected == found


def test_what_was_not_read_has_no_number() -> None:
    """A write that did not get there, and a route, which saves nothing."""
    assert (Missing(metric=NAME, reason="what was saved was not read"),) == measure(make_write(weights=None))
    assert () == measure(answered(make_read(), contradictions=TWO))
