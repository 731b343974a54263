"""The compiled loops against the same in plain numpy, and of each other: what is rounded, counted and told."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.verify import loops
from harness.verify.blocks import Buffers
from harness.verify.dtypes import narrow, rounded, widen
from harness.verify.loops import NOTHING, Counters, Explained, Lines, Product, Tile
from harness.verify.roundings import ROUNDINGS, UNIT_ROUNDOFF

ROWS, COLUMNS = 7, 33

FLOATS = st.floats(-1e4, 1e4, width=32) | st.floats(-(2.0**-20), 2.0**-20, width=32)


class Seen(NamedTuple):
    """What the loops said of a tile."""

    num_wrong: int
    counts: list[int]
    sums: list[float]
    wrong_rows: list[int]


def seen(
    base: np.ndarray, merged: np.ndarray, delta: np.ndarray, dtype: str, *, first: bool = False, row: float = 0.0
) -> Seen:
    """`tally` of a tile whose base and merged are stored in `dtype`."""
    counters, lines = Counters(), no_lines(len(delta))
    loops.tally(tiled(base, merged, dtype), delta, first, dtype, tolerance(delta, row), counters, lines)
    return said(counters, lines)


def seen_of_factors(
    base: np.ndarray, merged: np.ndarray, product: Product, dtype: str, *, first: bool = False, most_wrong: int = 10**6
) -> tuple[int, Seen]:
    """How many rows `merge` looked at, and what it said of them."""
    counters, lines = Counters(), no_lines(len(base))
    num_rows = loops.merge(tiled(base, merged, dtype), product, first, dtype, most_wrong, Buffers(), counters, lines)
    return num_rows, said(counters, lines)


def no_lines(rows: int) -> Lines:
    """Nothing is counted yet."""
    return Lines(np.zeros(rows, np.int64), np.zeros(rows, np.int64))


def said(counters: Counters, lines: Lines) -> Seen:
    """Of all that was counted."""
    counts = [*counters.tallied.tolist(), int(lines.missing.sum())]
    return Seen(int(lines.wrong.sum()), counts, counters.sums.tolist(), lines.wrong.tolist())


def explained(
    base: np.ndarray, merged: np.ndarray, delta: np.ndarray, dtype: str, *, first: bool = False, row: float = 0.0
) -> Explained:
    """`explain` of all rows of a tile."""
    left_over = np.ones(len(delta), np.int64)
    return loops.explain(tiled(base, merged, dtype), delta, first, dtype, dtype, tolerance(delta, row), 0.0, left_over)


def tiled(base: np.ndarray, merged: np.ndarray, dtype: str) -> Tile:
    """Both as they are stored."""
    return Tile(0, stored(base, dtype), stored(merged, dtype))


def tolerance(delta: np.ndarray, row: float) -> np.ndarray:
    """The same for every element."""
    return np.full(delta.shape, row, np.float32)


def stored(values: np.ndarray, dtype: str) -> np.ndarray:
    """As the loops take a tile: float16 as float32's bits."""
    bits = narrow(values, dtype)
    return widen(bits, dtype).view(np.uint32) if dtype == "F16" else bits


def tile(seed: int, dtype: str, scale: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Base as it is stored, and a delta."""
    draw = np.random.default_rng(seed)
    base = rounded(draw.normal(0, 0.1, (ROWS, COLUMNS)).astype(np.float32), dtype)
    return base, draw.normal(0, scale, (ROWS, COLUMNS)).astype(np.float32)


@pytest.mark.parametrize("dtype", ROUNDINGS)
@given(values=arrays(np.float32, (1, 40), elements=FLOATS))
@settings(max_examples=60, deadline=None)
def test_a_sum_is_rounded_as_numpy_rounds_it(dtype: str, values: np.ndarray) -> None:
    """What narrow() stores is what the loops predict, subnormal numbers and overflow among it."""
    base = np.zeros_like(values)
    found = explained(base, rounded(values, dtype), values, dtype)
    assert (0, 0, int(np.isinf(rounded(values, dtype)).sum())) == found[:3]


@pytest.mark.parametrize("dtype", ROUNDINGS)
def test_a_merge_is_right_to_the_last_bit(dtype: str) -> None:
    """Nothing is wrong, and the sums are those of float64."""
    base, delta = tile(1, dtype)
    merged = rounded(base + delta, dtype)
    found = seen(base, merged, delta, dtype)
    change = merged.astype(np.float64) - base
    assert found.num_wrong == 0
    assert [int((merged == base).sum()), int((merged != base).sum()), 0] == found.counts
    wanted = [(delta.astype(np.float64) ** 2).sum(), (delta * change).sum(), (change**2).sum()]
    assert wanted == pytest.approx(found.sums, rel=1e-5)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_rounding_the_delta_first_is_another_prediction(dtype: str) -> None:
    """Each way gives its own merge without a wrong element, and the other's with some."""
    base, delta = tile(2, dtype, scale=0.1)
    sum_only, delta_first = rounded(base + delta, dtype), rounded(base + rounded(delta, dtype), dtype)
    assert (sum_only != delta_first).any()
    assert [
        seen(base, sum_only, delta, dtype).num_wrong,
        seen(base, delta_first, delta, dtype, first=True).num_wrong,
    ] == [0, 0]
    assert seen(base, sum_only, delta, dtype, first=True).num_wrong == (sum_only != delta_first).sum()


@pytest.mark.parametrize("dtype", ROUNDINGS)
@pytest.mark.parametrize("place", [(0, 0), (6, 32), (3, 17)])
def test_one_bit_of_one_element_is_seen(dtype: str, place: tuple[int, int]) -> None:
    """The lowest bit of a stored number counts, in the row where it is."""
    base, delta = tile(3, dtype)
    bits = narrow(base + delta, dtype)
    bits[place] ^= 1
    found = seen(base, widen(bits, dtype), delta, dtype)
    wanted = [int(row == place[0]) for row in range(ROWS)]
    if dtype == "F32":  # a rounding of the sum is allowed there: another product may have made it
        assert found.num_wrong == 0
        bits[place] ^= 1 << 12
        found = seen(base, widen(bits, dtype), delta, dtype)
    assert (1, wanted) == (found.num_wrong, found.wrong_rows)


@pytest.mark.parametrize("dtype", ROUNDINGS)
def test_base_in_place_of_merged_is_missing_where_it_would_show(dtype: str) -> None:
    """What the delta would have changed is counted as missing; what it rounds away from is not."""
    base, delta = tile(4, dtype, scale=2e-4)
    visible = int((rounded(base + delta, dtype) != base).sum())
    found = seen(base, base, delta, dtype)
    assert [base.size, visible, visible] == found.counts
    assert found.num_wrong == visible


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_wrong_and_said(number: float) -> None:
    """One of them in merged is one wrong element that is not finite."""
    base, delta = tile(5, "BF16")
    merged = rounded(base + delta, "BF16")
    merged[2, 3] = number
    assert seen(base, merged, delta, "BF16").num_wrong == 1
    assert (1, 0, 1) == explained(base, merged, delta, "BF16")[:3]


def test_nan_in_base_stays_nan() -> None:
    """A number that is none in base is none in merged: not wrong, and said all the same."""
    base, delta = tile(6, "BF16")
    base[1, 1] = np.nan
    merged = rounded(base + delta, "BF16")
    assert (0, 0, 1) == explained(base, merged, delta, "BF16")[:3]


def test_another_products_rounding_is_allowed_and_no_more() -> None:
    """An element at the edge of two bfloat16 numbers may be either, within the tolerance of the product."""
    base = np.ones((1, 1), np.float32)
    delta = np.full((1, 1), 2.0**-8, np.float32)  # exactly between 1 and 1 + 2**-7: ties to even, which is 1
    above = np.full((1, 1), 1 + 2.0**-7, np.float32)
    assert (1, 0, 0) == explained(base, above, delta, "BF16")[:3]
    assert (0, 0, 0) == explained(base, above, delta, "BF16", row=1e-6)[:3]


def test_the_worst_element_is_named() -> None:
    """Row, column, what was expected and what is there."""
    base, delta = tile(7, "F32")
    merged = base + delta
    merged[4, 9] += 1
    merged[5, 2] += 0.5
    found = explained(base, merged, delta, "F32", row=1e-6)
    assert (2, 4, 9) == (found.num_wrong, found.row, found.column)
    assert (base[4, 9] + delta[4, 9], merged[4, 9]) == pytest.approx((found.expected, found.got), abs=1e-6)


@pytest.mark.parametrize(("num_experts", "rank"), [(1, 3), (4, 1), (5, 2), (40, 3)])
def test_columns_are_gathered_by_expert(num_experts: int, rank: int) -> None:
    """Expert e owns columns e::E of lora_B."""
    b = np.arange(6 * num_experts * rank, dtype=np.float32).reshape(6, -1)
    out = loops.columns_by_expert(b, num_experts)
    for expert in range(num_experts):
        assert (b[:, expert::num_experts] == out[expert]).all()


def factors(seed: int, rows: int, rank: int, columns: int) -> Product:
    """Of a delta about as large as those that training makes, with the room of a float32 product."""
    draw = np.random.default_rng(seed)
    left = draw.normal(0, 0.1, (rows, rank)).astype(np.float32)
    right = draw.normal(0, 0.1, (rank, columns)).astype(np.float32)
    return Product(left, right, np.abs(left), np.abs(right) * np.float32(2 * (rank + 4) * UNIT_ROUNDOFF))


@pytest.mark.parametrize("dtype", ROUNDINGS)
@pytest.mark.parametrize("first", [False, True])
@given(rows=st.integers(1, 14), rank=st.integers(0, 9), columns=st.sampled_from([1, 7, 15, 16, 17, 33, 1100]))
@settings(max_examples=25, deadline=None)
def test_a_product_made_on_the_way_is_numpys(dtype: str, first: bool, rows: int, rank: int, columns: int) -> None:
    """`merge` of factors says what `tally` says of their product, whatever is left over of blocks."""
    product = factors(rows, rows, rank, columns)
    exact = product.left.astype(np.float64) @ product.right
    delta = exact.astype(np.float32)
    base = rounded(np.random.default_rng(1).normal(0, 0.1, delta.shape).astype(np.float32), dtype)
    merged = rounded(base + (rounded(delta, dtype) if first else delta), dtype)
    merged[rows // 2, columns // 2] += 1
    num_rows, found = seen_of_factors(base, merged, product, dtype, first=first)
    wanted = seen(base, merged, delta, dtype, first=first, row=1e-6)
    assert num_rows == rows
    assert found.wrong_rows[rows // 2] >= 1
    # Some sums lie so near to a tie that one product is above it and another below.
    assert abs(found.num_wrong - wanted.num_wrong) <= 1 + delta.size // 1000
    assert all(abs(a - b) <= 1 + delta.size // 1000 for a, b in zip(found.counts, wanted.counts, strict=True))
    assert wanted.sums == pytest.approx(found.sums, rel=1e-4, abs=1e-12)


@pytest.mark.parametrize("dtype", ROUNDINGS)
def test_rows_are_given_up_where_most_are_wrong(dtype: str) -> None:
    """Twelve rows are looked at before that, and no more; without a limit all of them are."""
    product = factors(1, 64, 4, 96)
    base = rounded(np.random.default_rng(2).normal(0, 0.1, (64, 96)).astype(np.float32), dtype)
    num_rows, found = seen_of_factors(base, base, product, dtype, most_wrong=24)
    assert (12, [True] * 12 + [False] * 52) == (num_rows, [bool(wrong) for wrong in found.wrong_rows])
    assert seen_of_factors(base, base, product, dtype)[0] == 64


def test_a_tolerance_is_each_rows_own() -> None:
    """Rows of small factors have little room, whichever rows are computed beside them."""
    product = factors(3, 8, 4, 40)
    product.left[::2] *= 1e-3
    product = product._replace(left_sizes=np.abs(product.left))
    base = np.zeros((8, 40), np.float32)
    delta = product.left @ product.right
    off = delta + np.float32(2e-9)
    wrong = seen_of_factors(base, off, product, "F32")[1].wrong_rows
    assert min(wrong[::2]) > 20
    assert max(wrong[1::2]) == 0


def test_without_tolerances_the_very_bits_count() -> None:
    """Factors whose sizes nobody made are enough for what is stored in half precision."""
    product = factors(4, 8, 4, 40)._replace(left_sizes=NOTHING, right_sizes=NOTHING)
    base = rounded(np.random.default_rng(3).normal(0, 0.1, (8, 40)).astype(np.float32), "BF16")
    merged = rounded(base + product.left @ product.right, "BF16")
    assert seen_of_factors(base, merged, product, "BF16")[1].num_wrong <= 1
    assert seen_of_factors(base, base, product, "BF16")[1].num_wrong > 100
