"""Which rows of a weight are looked at, and which way it changed in them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.verify.evidence import Pairing
from harness.verify.factors import LowRank
from harness.verify.samples import SAMPLE_ROWS, Direction, Sample, direction_of, rows_of, sample_of
from harness.verify.workspace import Workspace
from tests.verify.seen import ONE, evidence, in_memory, place

DELTA = LowRank(np.float32([[1.0], [2.0], [0.0]]), np.float32([[3.0, 0.0]]), 0.5)
"""1.5, 3 and 0, in the first of two columns."""


def direction(*change: list[float], rows: list[int] | None = None, delta: LowRank = DELTA) -> Direction:
    """Of a change in these rows (all, if they are not said), from a base of ones."""
    changed = np.float32(change)
    base = np.ones_like(changed)
    return direction_of(
        delta, Sample(np.array(range(len(change)) if rows is None else rows, int), base, base + changed)
    )


@pytest.mark.parametrize(
    ("change", "cosine", "factor"),
    [
        pytest.param([[1.5, 0], [3, 0], [0, 0]], 1.0, 1.0, id="the delta"),
        pytest.param([[-3, 0], [-6, 0], [0, 0]], -1.0, -2.0, id="twice, subtracted"),
        pytest.param([[0, 5], [0, 0], [7, 0]], 0.0, 0.0, id="something else"),
        pytest.param([[1.5, 3], [3, 1.5], [0, 0]], math.sqrt(0.5), 1.0, id="and as much beside it"),
        pytest.param([[0, 0], [0, 0], [0, 0]], 0.0, 0.0, id="nothing"),
    ],
)
def test_a_change_has_a_direction(change: list[list[float]], cosine: float, factor: float) -> None:
    """Against a delta: its cosine, and how many times the delta is in it."""
    assert (pytest.approx(cosine, abs=1e-6), pytest.approx(factor, abs=1e-6)) == direction(*change)


def test_a_direction_is_that_of_the_rows_of_the_sample() -> None:
    """Others do not matter."""
    assert (pytest.approx(1.0), pytest.approx(2.0)) == direction([6, 0], rows=[1])
    assert Direction(0.0, 0.0) == direction([6, 0], rows=[2])


def test_a_weight_of_one_row_has_a_direction() -> None:
    """As any other."""
    delta = LowRank(np.float32([[1.0]]), np.float32([[3.0, 0.0]]), 0.5)
    assert (pytest.approx(1.0), pytest.approx(2.0)) == direction([3, 0], delta=delta)


def test_numbers_may_be_small_or_huge() -> None:
    """Sums are in float64."""
    for size in (1e-12, 1e25):
        delta = DELTA._replace(scale=0.5 * size)
        base = np.zeros((2, 2), np.float32)
        change = np.float32([[1.5 * size, 0], [3 * size, 0]])
        found = direction_of(delta, Sample(np.array([0, 1]), base, change))
        assert (pytest.approx(1.0), pytest.approx(1.0)) == found


@pytest.mark.parametrize(
    ("rows", "change"),
    [([3], [[1, 1]]), ([0], [[1, 1, 1]]), ([0, 3], [[1, 1], [1, 1]])],
    ids=["rows", "columns", "one"],
)
def test_a_delta_of_another_shape_has_no_direction(rows: list[int], change: list[list[float]]) -> None:
    """Fewer rows than the weight, or other columns."""
    assert Direction(0.0, 0.0) == direction(*change, rows=rows)


def test_a_sample_without_rows_has_no_direction() -> None:
    """Nothing changed in it."""
    empty = np.zeros((0, 2), np.float32)
    assert Direction(0.0, 0.0) == direction_of(DELTA, Sample(np.zeros(0, int), empty, empty))


def weight(num_rows: int, *, transposed: bool = False) -> tuple[Pairing, Workspace]:
    """A weight of three columns that counts its elements, from 1 in base and from -1 down in merged."""
    values = np.arange(1, 1 + 3 * num_rows, dtype=np.float32).reshape(num_rows, 3)
    stored = {"base": values.T if transposed else values, "merged": -(values.T if transposed else values)}
    entries, files = in_memory(stored, "F32")
    at = place(ONE.site, shape=values.shape)._replace(transposed=transposed)
    return Pairing(ONE.site, *(at._replace(entry=entries[name]) for name in stored)), Workspace(files)


def test_rows_that_are_wrong_are_half_of_a_sample() -> None:
    """Evenly over them, and as many evenly over the weight; with their values in both."""
    pairing, space = weight(1000)
    wrong = np.arange(300, 400, dtype=np.int32)
    found = sample_of(pairing, evidence(wrong_lines=wrong), space)
    spread = [int(number) for number in np.linspace(0, 999, SAMPLE_ROWS)]
    assert {*(300 + int(number) for number in np.linspace(0, 99, SAMPLE_ROWS)), *spread} == set(found.rows.tolist())
    assert sorted(found.rows.tolist()) == found.rows.tolist()
    assert (found.rows * 3 + 1).tolist() == found.base[:, 0].tolist() == (-found.merged[:, 0]).tolist()
    assert (len(found.rows), 3) == found.base.shape == found.merged.shape


def test_without_wrong_rows_a_sample_is_of_all() -> None:
    """All of a small weight, some of a large one."""
    pairing, space = weight(5)
    assert [0, 1, 2, 3, 4] == sample_of(pairing, evidence(), space).rows.tolist()
    pairing, space = weight(1000)
    assert SAMPLE_ROWS == len(sample_of(pairing, evidence(), space).rows)


def test_wrong_lines_of_a_turned_weight_are_columns() -> None:
    """So they say nothing of its rows."""
    pairing, space = weight(1000, transposed=True)
    found = sample_of(pairing, evidence(wrong_lines=np.array([1, 2], np.int32)), space)
    assert SAMPLE_ROWS == len(found.rows)
    assert {0, 999} <= set(found.rows.tolist())
    assert (found.rows * 3 + 1).tolist() == found.base[:, 0].tolist()


def test_rows_are_read_in_the_order_that_is_asked_for() -> None:
    """In the weight's own orientation."""
    for transposed in (False, True):
        pairing, space = weight(5, transposed=transposed)
        assert [[13, 14, 15], [1, 2, 3]] == rows_of(pairing.base, np.array([4, 0]), space).tolist()
