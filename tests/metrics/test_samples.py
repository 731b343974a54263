"""Greedy samples: how many are equal, and how near a tie the others were."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Outputs
from harness.metrics.samples import measure
from harness.records.results import Measured, Measurement, Missing
from tests.observations import make_logits, make_outputs, make_read, make_write

TOKENS_SN = np.arange(12).reshape(3, 4)


def changed(*places: tuple[int, int]) -> Outputs:
    """Outputs whose samples differ from the clean ones at these (sample, token)."""
    tokens_SN = TOKENS_SN.copy()
    for sample, token in places:
        tokens_SN[sample, token] += 100
    return make_outputs(make_logits(2), tokens_SN=tokens_SN)


def found(**parts: Outputs | None) -> dict[str, Measurement]:
    """The measurements of a route with these parts, by name."""
    return {measurement.metric: measurement for measurement in measure(make_read(**parts))}


def test_equal_samples_are_counted_and_need_no_margin() -> None:
    """Three of three, of the base none: the signal."""
    assert {
        "samples_base_equal": Measured(metric="samples_base_equal", value=0.0, unit="samples", num_compared=3),
        "samples_equal": Measured(metric="samples_equal", value=3.0, unit="samples", num_compared=3),
    } == found()


def test_one_token_makes_a_sample_differ() -> None:
    """A sample with any other token is not equal; several in one sample count once."""
    measured = found(reloaded=changed((0, 3), (2, 1), (2, 2)))
    assert Measured(metric="samples_equal", value=1.0, unit="samples", num_compared=3) == measured["samples_equal"]


def test_the_margin_is_the_trained_models_where_a_sample_first_differs() -> None:
    """Of each differing sample the margin at its first difference, and the largest of these."""
    trained = make_outputs(make_logits(2), margins_SN=np.arange(12).reshape(3, 4) / 10)
    measured = found(trained=trained, reloaded=changed((0, 2), (0, 3), (1, 1), (1, 3)))
    expected = Measured(metric="sample_margin_max", value=0.5, unit="logits", num_compared=2)
    assert expected == measured["sample_margin_max"]


def test_a_margin_that_is_not_a_number_is_missing() -> None:
    """Margins of NaN logits are no measurement, and cannot hide behind a larger one."""
    margins_SN = np.full((3, 4), 0.5)
    margins_SN[1, 1] = np.nan
    trained = make_outputs(make_logits(2), margins_SN=margins_SN)
    assert isinstance(found(trained=trained, reloaded=changed((0, 2), (1, 1)))["sample_margin_max"], Missing)
    assert isinstance(found(trained=trained, reloaded=changed((0, 2)))["sample_margin_max"], Measured)


def test_samples_that_cannot_be_compared_are_missing() -> None:
    """Not generated, or of another shape: a reason, and no number."""
    shorter = make_outputs(make_logits(2), tokens_SN=TOKENS_SN[:, :3])
    for reloaded, word in ((None, "not generated"), (shorter, "(3, 4) and (3, 3)")):
        measured = found(reloaded=reloaded)
        assert {"samples_base_equal", "samples_equal"} == set(measured)
        assert isinstance(measured["samples_equal"], Missing)
        assert word in measured["samples_equal"].reason


def test_a_write_has_only_the_bases_samples() -> None:
    """Nothing was reloaded yet."""
    assert ["samples_base_equal"] == [measurement.metric for measurement in measure(make_write())]
