"""Decoding against one pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.decoding import NAME, forced_margins, measure
from harness.metrics.observed import Outputs
from harness.records.results import Measured, Missing
from tests.observations import make_logits, make_outputs, make_read, make_write

OUTPUTS = make_outputs(make_logits(2))


def shifted(by: float, *, steps: slice = slice(None)) -> Outputs:
    """Margins that one pass gives otherwise, in some steps."""
    assert OUTPUTS.forced_SN is not None
    forced_SN = OUTPUTS.forced_SN.copy()
    forced_SN[:, steps] += by
    return replace(OUTPUTS, forced_SN=forced_SN)


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        pytest.param(OUTPUTS, 0.0, id="clean"),
        pytest.param(shifted(0.25), 0.5, id="every step"),
        pytest.param(shifted(0.25, steps=slice(3)), 0.5, id="most steps"),
        pytest.param(shifted(9.0, steps=slice(1)), 0.0, id="one step, as a flipped router"),
    ],
)
def test_it_is_the_median_difference_relative_to_the_median_margin(outputs: Outputs, expected: float) -> None:
    """Margins are 0.5; a shift of most steps counts, one of a few does not."""
    (found,) = measure(make_read(reloaded=outputs))
    assert Measured(metric=NAME, value=expected, unit="ratio", num_compared=12) == found


@pytest.mark.parametrize("part", ["base", "trained"])
def test_a_write_is_as_bad_as_the_worse_of_its_models(part: str) -> None:
    """Base or trained."""
    (found,) = measure(make_write(**{part: shifted(0.25)}))
    assert isinstance(found, Measured)
    assert 0.5 == found.value


def test_what_is_behind_the_stop_token_does_not_count() -> None:
    """Padding is neither compared nor counted."""
    tokens_SN = OUTPUTS.tokens_SN.copy()
    tokens_SN[:, 1:] = -1
    (found,) = measure(make_read(reloaded=replace(shifted(9.0, steps=slice(1, 4)), tokens_SN=tokens_SN)))
    assert Measured(metric=NAME, value=0.0, unit="ratio", num_compared=3) == found


@pytest.mark.parametrize("forced_SN", [None, np.zeros((3, 2)), np.full((3, 4), np.nan)], ids=["none", "shape", "nan"])
def test_without_a_second_opinion_nothing_is_told(forced_SN: np.ndarray | None) -> None:
    """Not observed, of another shape, or no numbers: missing."""
    (found,) = measure(make_read(reloaded=replace(OUTPUTS, forced_SN=forced_SN)))
    assert isinstance(found, Missing)


def test_margins_are_differences_in_float64() -> None:
    """What float32 cannot tell from the runner-up is told, and no margin is taken of a padded token."""
    logits_SNV = np.array([[[2.0**24, 1.0, 2.0]]], np.float32)
    assert [[2.0**24 - 2]] == forced_margins(logits_SNV, np.array([[0]])).tolist()
    halves_SNV = np.array([[[-2048.0, 0.5]]], np.float16)
    assert [[2048.5]] == forced_margins(halves_SNV, np.array([[1]])).tolist()
    assert np.float64 == forced_margins(halves_SNV, np.array([[1]])).dtype


def test_margins_are_of_the_token_that_was_chosen() -> None:
    """Its logit minus the best other one, negative where another is better; 0 where padded."""
    logits_SNV = np.array([[[1.0, 4.0, 2.0], [1.0, 4.0, 2.0], [1.0, 4.0, 2.0]]])
    assert [[2.0, -3.0, 0.0]] == forced_margins(logits_SNV, np.array([[1, 0, -1]])).tolist()
