"""What guards are given."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from harness.canaries.drawing import draw, evaluate, named
from harness.errors import CaseError
from harness.records.canaries import Call, Equals

GIVEN = {"E": [3, 6], "r": [3, 6], "text": "E * r + 1", "half": "E / 2", "A": {"normal": ["E * r", "7"]}, "flag": True}


def test_all_is_drawn_of_a_seed() -> None:
    """Whole numbers within their bounds, no two of them the same; expressions and arrays of them; the rest as it is."""
    for seed in range(50):
        drawn = draw(GIVEN, Random(seed), "rule")
        experts, rank = drawn["E"], drawn["r"]
        assert {experts, rank} <= set(range(3, 7))
        assert experts != rank
        assert (experts * rank + 1, experts / 2, True) == (drawn["text"], drawn["half"], drawn["flag"])
        assert (experts * rank, 7) == np.asarray(drawn["A"]).shape
    assert draw(GIVEN, Random(1), "rule") == draw(GIVEN, Random(1), "rule")
    assert draw(GIVEN, Random(1), "rule") != draw(GIVEN, Random(2), "rule")


def test_arrays_are_exact_in_float32() -> None:
    """So that a product of them is a product, and no rounding."""
    numbers = np.asarray(draw({"A": {"normal": ["64", "64"]}}, Random(0), "rule")["A"])
    assert np.array_equal(numbers, numbers.astype(np.float16))
    assert len(np.unique(numbers)) > 100


@pytest.mark.parametrize(
    "given",
    [
        {"a": [1, 1], "b": [1, 1]},
        {"a": {"uniform": [3]}},
        {"a": {"normal": ["b"]}},
        {"a": "__import__('os')"},
        {"a": "b"},
        {"a": "1 +"},
        {"a": "2 ** 9"},
        {"a": "1 / 0"},
        {"a": "'x' * 3"},
    ],
)
def test_what_cannot_be_drawn(given: dict[str, Any]) -> None:
    """Is named with its rule."""
    with pytest.raises(CaseError, match=r"rule: given\.[ab]"):
        draw(given, Random(0), "rule")


def test_expressions() -> None:
    """Of numbers that are given."""
    assert 11 == evaluate("(E - 1) * r // 2 + 2", {"E": 4, "r": 6}, "rule")


def test_only_arrays_that_a_call_names_are_drawn() -> None:
    """In what is called, or in what must come of it; numbers are drawn in any case."""
    array = {"normal": ["E"]}
    given = {"E": [3, 6], "A": array, "B": array, "AB": array, "text": "E + 1"}
    calls = [Call(name="B", call="f(A[0])", equals=Equals(what="delta", of=("A",))), Call(name="c", call="f(AB)")]
    assert {"E", "A", "AB", "B", "text"} == set(named(given, calls))
    assert {"E", "AB", "text"} == set(named(given, calls[1:]))
