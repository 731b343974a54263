"""What was counted of one weight, and what follows from the counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.verify.evidence import Evidence, Pairing
from harness.verify.places import Place
from tests.verify.seen import ONE, evidence, place


def test_nothing_is_counted_before_anything_is_looked_at() -> None:
    """All counts begin at nothing, and nothing explains nothing."""
    begun = Evidence(num_elements=30)
    assert (30, 0, 0, 0, 0, 0, 0, 0) == (
        begun.num_elements, begun.num_compared, begun.num_inexact, begun.num_wrong, begun.num_wrong_and_base,
        begun.num_non_finite, begun.num_same, begun.num_visible,
    )  # fmt: skip
    assert (0.0, 0.0, 0.0, None, []) == (
        begun.delta_squared, begun.delta_times_change, begun.change_squared, begun.worst, begun.wrong_lines.tolist(),
    )  # fmt: skip
    assert (False, False, None, None) == (begun.is_whole, begun.explains, begun.recovered, begun.residual)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, (True, True), id="all as predicted"),
        pytest.param({"num_wrong": 1}, (True, False), id="one is not"),
        pytest.param({"num_compared": 29}, (False, False), id="one was not compared"),
        pytest.param({"num_inexact": 9}, (True, True), id="within roundings"),
    ],
)
def test_a_delta_explains_a_weight_of_which_all_was_compared_and_is_right(
    changes: dict[str, int], expected: tuple[bool, bool]
) -> None:
    """Whole, and as predicted."""
    found = evidence(**changes)
    assert expected == (found.is_whole, found.explains)


@pytest.mark.parametrize(
    ("delta_squared", "delta_times_change", "change_squared", "expected"),
    [
        pytest.param(4.0, 4.0, 4.0, (1.0, 0.0), id="all of it"),
        pytest.param(4.0, 0.0, 0.0, (0.0, 1.0), id="nothing of it"),
        pytest.param(4.0, 8.0, 16.0, (2.0, 1.0), id="twice"),
        pytest.param(4.0, -4.0, 4.0, (-1.0, 2.0), id="subtracted"),
        pytest.param(4.0, 4.0, 8.0, (1.0, 1.0), id="and as much beside it"),
        pytest.param(0.5, 0.5, 0.5, (1.0, 0.0), id="small"),
        pytest.param(4.0, 4.0, 4.0 - 1e-9, (1.0, 0.0), id="less than rounding allows"),
        pytest.param(0.0, 1.0, 1.0, (None, None), id="no delta"),
        pytest.param(math.nan, 1.0, 1.0, (None, None), id="a delta without numbers"),
        pytest.param(4.0, math.inf, 1.0, (None, None), id="an infinite projection"),
        pytest.param(4.0, 4.0, math.inf, (1.0, None), id="an infinite change"),
    ],
)
def test_what_is_there_of_a_delta(
    delta_squared: float, delta_times_change: float, change_squared: float, expected: tuple[float | None, float | None]
) -> None:
    """Its projection over itself, and what is left of the change, in its own norms; None where there are no numbers."""
    found = evidence(delta_squared=delta_squared, delta_times_change=delta_times_change, change_squared=change_squared)
    assert expected == (found.recovered, found.residual)


def test_rows_with_wrong_elements_are_noted_in_order() -> None:
    """By their numbers in the whole weight, piece after piece."""
    found = evidence()
    found.note_lines(0, np.array([0, 2, 0]))
    found.note_lines(3, np.array([1, 0, 5]))
    assert [1, 3, 5] == found.wrong_lines.tolist()
    assert np.int32 == found.wrong_lines.dtype


def stored(shape: tuple[int, ...], *, transposed: bool = False) -> Pairing:
    """A weight of this shape in base and merged."""
    made: Place = place(ONE.site, shape=shape)._replace(transposed=transposed)
    return Pairing(ONE.site, made, made)


@pytest.mark.parametrize(
    ("weight", "shape", "flipped", "num_elements"),
    [
        pytest.param(stored((6, 5)), (6, 5), False, 30, id="a matrix"),
        pytest.param(stored((6, 5), transposed=True), (5, 6), True, 30, id="stored transposed"),
        pytest.param(stored((7,)), (1, 7), False, 7, id="a vector is one row"),
        pytest.param(stored((2, 3, 4)), (1, 24), False, 24, id="as is what has more axes"),
    ],
)
def test_a_weight_is_walked_as_base_stores_it(
    weight: Pairing, shape: tuple[int, int], flipped: bool, num_elements: int
) -> None:
    """Rows and columns of the walk, and how many elements there are."""
    assert (shape, flipped, num_elements) == (weight.shape, weight.flipped, weight.num_elements)
