"""Tensors that are stored in another dtype than base's."""

from __future__ import annotations

import numpy as np
import pytest

from harness.metrics.dtypes import NAME, changed, measure
from harness.metrics.weight_table import WeightTable, compare_weights
from harness.records.results import Measured, Missing
from tests.observations import make_read, make_write

ONES = np.ones((2, 2), np.float32)
BASE = {"router": ("float32", ONES), "q": ("bfloat16", ONES), "k": ("bfloat16", ONES)}


def table(**dtypes: str) -> WeightTable:
    """All of base, stored in these dtypes."""
    return compare_weights(BASE, {}, dict.fromkeys(BASE, ONES), stored=True, dtypes=dtypes)


@pytest.mark.parametrize(
    ("dtypes", "expected", "num_compared"),
    [
        ({"router": "float32", "q": "bfloat16", "k": "bfloat16"}, [], 3),
        ({"router": "float32", "q": "float32", "k": "bfloat16"}, ["q"], 3),
        ({"router": "bfloat16", "q": "bfloat16", "k": "F16"}, ["router", "k"], 3),
        ({"q": "float32"}, ["q"], 1),
        ({}, [], 0),
    ],
    ids=["as in base", "wider", "narrower", "only what is stored", "nothing stored"],
)
def test_each_tensor_has_the_dtype_of_base(dtypes: dict[str, str], expected: list[str], num_compared: int) -> None:
    """Its own, and not the model's: what base keeps in float32 stays so."""
    made = table(**dtypes)
    assert expected == made.name[changed(made)].tolist()
    (found,) = measure(make_write(weights=made))
    assert Measured(metric=NAME, value=len(expected), unit="tensors", num_compared=num_compared) == found


def test_a_model_that_was_loaded_is_not_asked() -> None:
    """Of a route nothing is measured; of a write without weights the number is missing."""
    assert () == measure(make_read(weights=table(q="float32")))
    assert (Missing(metric=NAME, reason="the weights were not compared"),) == measure(make_write(weights=None))
