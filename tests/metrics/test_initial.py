"""How an adapter begins."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.initial import NAME, errors, measure, scales
from harness.records.results import Measured, Missing
from tests.observations import answered, make_read, make_write


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(4, 24), (4, 64), (8, 4, 48)])
def test_a_draw_as_pefts_is_within_a_few_standard_errors(seed: int, shape: tuple[int, ...]) -> None:
    """Whatever the shape; half as wide it is far from there, and farther, the more values there are."""
    bound = 1 / np.sqrt(shape[-1])
    A = np.random.default_rng(seed).uniform(-bound, bound, shape)
    observed = answered(make_write(), notes={"initial": scales({"right": A, "half": A / 2})})
    found = errors(observed)
    assert found["right"] < 4 < 9 < found["half"]
    assert 0.5 * np.sqrt(A.size / 0.2) == pytest.approx(found["half"], rel=0.15)
    assert (Measured(metric=NAME, value=found["half"], unit="standard errors", num_compared=2),) == measure(observed)


def test_factors_of_half_precision_are_squared_in_float64() -> None:
    """Their squares are beyond float16; PEFT's deviation is that of a uniform draw within 1 / sqrt(in)."""
    assert {"A": [300 * np.sqrt(3 * 4), 8.0]} == {
        name: [pytest.approx(ratio), size]
        for name, (ratio, size) in scales({"A": np.full((2, 4), 300, np.float16)}).items()
    }


def test_what_was_not_seen_before_training_is_missing() -> None:
    """No factors, no measurement; a route begins nothing."""
    (found,) = measure(answered(make_write(), notes={}))
    assert isinstance(found, Missing)
    assert () == measure(make_read())
