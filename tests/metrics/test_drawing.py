"""Samples that are drawn, counted by how many are alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.drawing import NAME, measure
from harness.records.results import Measured
from tests.observations import make_logits, make_outputs, make_read, make_write

OUTPUTS = make_outputs(make_logits(2))


@pytest.mark.parametrize(
    ("drawn_SN", "expected"),
    [
        pytest.param([[1, 2], [2, 1], [3, 3]], 0.0, id="all different"),
        pytest.param([[1, 2], [2, 1], [1, 2]], 1.0, id="two alike"),
        pytest.param([[1, 2], [1, 2], [1, 2]], 2.0, id="one sample"),
    ],
)
def test_samples_equal_to_an_earlier_one_are_counted(drawn_SN: list[list[int]], expected: float) -> None:
    """Of three that were drawn."""
    found = measure(make_read(reloaded=replace(OUTPUTS, drawn_SN=np.array(drawn_SN))))
    assert (Measured(metric=NAME, value=expected, unit="samples", num_compared=3),) == found


def test_equal_samples_of_two_models_are_no_repetition() -> None:
    """A write has base's and trained's, counted apart; a stack that draws none measures nothing."""
    drawn = replace(OUTPUTS, drawn_SN=np.array([[1, 2], [2, 1]]))
    assert (Measured(metric=NAME, value=0.0, unit="samples", num_compared=4),) == measure(
        make_write(base=drawn, trained=drawn)
    )
    assert () == measure(make_read(reloaded=replace(OUTPUTS, drawn_SN=None)))
