"""A weight against a delta, element by element, held against the same counted by hand with numpy."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from harness.verify import compare as module
from harness.verify.compare import compare
from harness.verify.dtypes import rounded
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.factors import LowRank
from harness.verify.places import Place
from harness.verify.ways import (
    BASE_FIRST,
    BOTH_FIRST,
    DELTA_FIRST,
    DELTA_IN_BASE_DTYPE,
    IN_BASE_DTYPE,
    LESS_EXACT,
    SUM,
    SUMS_IN_HALVES,
    TWICE,
    Way,
)
from harness.verify.workspace import Workspace
from tests.verify.seen import ONE, in_memory, place

ROWS, COLUMNS, RANK, SCALE = 24, 20, 3, 0.3
EXPERT = 2


class Weight(NamedTuple):
    """What is compared."""

    pairing: Pairing
    space: Workspace
    other: Place
    """Of another base."""


class Drawn(NamedTuple):
    """Values."""

    base: np.ndarray
    other: np.ndarray
    delta: LowRank

    @property
    def added(self) -> np.ndarray:
        """What is to be added."""
        values: np.ndarray = (self.delta.left * np.float32(SCALE)) @ self.delta.right
        return values


@cache
def drawn(dtype: str, shape: tuple[int, ...] = (ROWS, COLUMNS)) -> Drawn:
    """A base, another one, and factors; the delta is about half of base."""
    generator = np.random.default_rng(11)
    base, other = (rounded(generator.standard_normal(shape).astype(np.float32), dtype) for _ in range(2))
    rows, columns = shape if len(shape) == 2 else (1, shape[0])
    left, right = generator.standard_normal((rows, RANK)), generator.standard_normal((RANK, columns))
    return Drawn(base, other, LowRank(left.astype(np.float32), right.astype(np.float32), SCALE))


def stored(
    base: np.ndarray, merged: np.ndarray, other: np.ndarray, base_dtype: str, merged_dtype: str, how: str
) -> Weight:
    """These values in memory: plainly, transposed, or each in a tensor of several experts, transposed or not."""

    def as_stored(values: np.ndarray) -> np.ndarray:
        turned = values.T if how.startswith("transposed") else values
        return np.stack([turned + 1, turned - 1, turned]) if how.endswith("fused") else turned

    def at(entry: Any, values: np.ndarray) -> Place:
        return place(ONE.site, shape=values.shape)._replace(
            entry=entry, transposed=how.startswith("transposed"), expert=EXPERT if how.endswith("fused") else None
        )

    before, files = in_memory({"base": as_stored(base), "other": as_stored(other)}, base_dtype)
    after, more = in_memory({"merged": as_stored(merged)}, merged_dtype)
    files._contents.update(more._contents)  # type: ignore[attr-defined]
    pairing = Pairing(ONE.site, at(before["base"], base), at(after["merged"], merged))
    return Weight(pairing, Workspace(files), at(before["other"], other))


def expected(way: Way, values: Drawn, base_dtype: str, dtype: str) -> np.ndarray:
    """What a merge in this way stores."""
    kept = base_dtype if way.in_base_dtype else dtype
    base, delta = values.base, values.delta
    if way.base_first:
        base = rounded(base, dtype)
    if way.factors_in or way.delta_in:
        factors = way.factors_in or "F32"
        product = rounded(delta.left, factors) @ rounded(delta.right, factors)
        scaled = rounded(product, way.product_in or "F32") * np.float32(delta.scale)
        added = rounded(scaled, way.delta_in or "F32")
    else:
        added = values.added
    if way.sum_in:
        half = way.sum_in
        return rounded(rounded(rounded(base, half) + rounded(added, half), half), dtype)
    if way.delta_first:
        added = rounded(added, kept)
    once = rounded(base + added, kept)
    return rounded(rounded(once + added, kept) if way.twice else once, dtype)


def compared(weight: Weight, delta: LowRank, way: Way = SUM, **more: Any) -> Evidence:
    """The evidence, whatever the numbers are."""
    with np.errstate(all="ignore"):
        return compare(weight.pairing, delta, way, weight.space, **more)


WAYS = {
    "F32 F32": [SUM, TWICE, *LESS_EXACT, *SUMS_IN_HALVES],
    "BF16 BF16": [SUM, DELTA_FIRST, TWICE, *LESS_EXACT, SUMS_IN_HALVES[0]],
    "F16 F16": [SUM, DELTA_FIRST, TWICE, *LESS_EXACT, SUMS_IN_HALVES[1]],
    "F32 BF16": [SUM, DELTA_FIRST, BASE_FIRST, BOTH_FIRST],
    "BF16 F32": [SUM, IN_BASE_DTYPE, DELTA_IN_BASE_DTYPE],
    "F32 F16": [SUM, DELTA_FIRST, BASE_FIRST, BOTH_FIRST],
}
PLACES = ["plain", "transposed", "fused", "transposed and fused"]


@pytest.mark.parametrize("how", PLACES)
@pytest.mark.parametrize(
    ("dtypes", "way"),
    [pytest.param(dtypes, way, id=f"{dtypes}, {way.name}") for dtypes, ways in WAYS.items() for way in ways],
)
def test_a_merge_is_explained_by_its_own_way(dtypes: str, way: Way, how: str) -> None:
    """Whatever its dtypes and wherever it lies; all elements, of which none is wrong."""
    before, after = dtypes.split()
    values = drawn(before)
    weight = stored(values.base, expected(way, values, before, after), values.other, before, after, how)
    found = compared(weight, values.delta, way)
    assert found.explains
    assert (ROWS * COLUMNS, ROWS * COLUMNS, 0, 0, 0, None, []) == (
        found.num_elements, found.num_compared, found.num_wrong, found.num_wrong_and_base, found.num_non_finite,
        found.worst, found.wrong_lines.tolist(),
    )  # fmt: skip
    wrong = compared(weight, values.delta.times(1.5), way)
    assert not wrong.explains
    assert wrong.num_wrong > 0.5 * ROWS * COLUMNS


def test_ways_are_told_apart() -> None:
    """What rounds elsewhere gives other bits, each in a good many elements."""
    values = drawn("BF16")
    weight = stored(values.base, expected(DELTA_FIRST, values, "BF16", "BF16"), values.other, "BF16", "BF16", "plain")
    assert compared(weight, values.delta, DELTA_FIRST).explains
    found = compared(weight, values.delta, SUM)
    right, delta_first = (expected(way, values, "BF16", "BF16") for way in (SUM, DELTA_FIRST))
    assert 0 < found.num_wrong <= int((right != delta_first).sum()) == found.num_inexact


@pytest.mark.parametrize("how", ["plain", "transposed"])
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_what_is_wrong_is_counted_and_the_worst_is_named(dtype: str, how: str) -> None:
    """Elements that are base's, that are something else and that are no numbers; rows as they are walked."""
    values = drawn(dtype)
    right = expected(SUM, values, dtype, dtype)
    merged = right.copy()
    merged[3, 4], merged[3, 5], merged[17, 0] = right[3, 4] + 1, right[3, 5] - 2, values.base[17, 0]
    merged = rounded(merged, dtype)
    found = compared(stored(values.base, merged, values.other, dtype, dtype, how), values.delta)
    same = int((merged == values.base).sum())
    visible = int((right != values.base).sum())
    assert (3, 3, 1, 0, same, visible) == (
        found.num_wrong, found.num_inexact, found.num_wrong_and_base, found.num_non_finite, found.num_same,
        found.num_visible,
    )  # fmt: skip
    assert Worst(3, 5, pytest.approx(float(right[3, 5]), rel=1e-6), float(merged[3, 5])) == found.worst
    assert ([3, 17] if how == "plain" else [0, 4, 5]) == found.wrong_lines.tolist()


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_projections_are_those_of_the_change_onto_the_delta(dtype: str) -> None:
    """In float32 sums of any order."""
    values = drawn(dtype)
    merged = rounded(values.base + np.float32(1.5) * values.added, dtype)
    found = compared(stored(values.base, merged, values.other, dtype, dtype, "plain"), values.delta)
    change, added = merged.astype(np.float64) - values.base, values.added.astype(np.float64)
    assert [(added**2).sum(), (added * change).sum(), (change**2).sum()] == pytest.approx(
        [found.delta_squared, found.delta_times_change, found.change_squared], rel=1e-5
    )


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
@pytest.mark.parametrize(("base", "merged"), [(0, 2), (1, 1), (1, 0)], ids=["merged", "both", "base"])
def test_what_is_not_finite_is_no_merge(dtype: str, base: int, merged: int) -> None:
    """Even where base is not finite either: what merged holds is counted; a number is wrong where base has none."""
    values = drawn(dtype)
    spoilt, stored_as = values.base.copy(), expected(SUM, values, dtype, dtype)
    spoilt[2, :base], stored_as[2, :merged] = np.inf, np.nan
    found = compared(stored(spoilt, stored_as, values.other, dtype, dtype, "plain"), values.delta)
    assert merged == found.num_non_finite
    assert max(base, merged) == found.num_wrong
    assert not found.explains


def test_a_vector_is_one_row() -> None:
    """As the biases are that lora_bias adds to."""
    values = drawn("BF16", (COLUMNS,))
    merged = rounded(values.base + values.added[0], "BF16")
    weight = stored(values.base, merged, values.other, "BF16", "BF16", "plain")
    assert compared(weight, values.delta).explains
    merged[7] += 1
    found = compared(stored(values.base, merged, values.other, "BF16", "BF16", "plain"), values.delta)
    assert (1, [0], 7) == (found.num_wrong, found.wrong_lines.tolist(), found.worst and found.worst.column)


def test_another_base_may_be_taken() -> None:
    """In place of the site's own."""
    values = drawn("F32")
    weight = stored(values.base, values.other + values.added, values.other, "F32", "F32", "plain")
    assert compared(weight, values.delta, other_base=weight.other).explains
    assert not compared(weight, values.delta).explains


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come in several blocks, and these in several tiles, as those of real models do."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * COLUMNS * 16)
    monkeypatch.setattr(module, "TILE_ELEMENTS", 9 * COLUMNS + 1)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("way", [SUM, LESS_EXACT[0], TWICE, SUMS_IN_HALVES[0]], ids=lambda way: way.name)
@pytest.mark.parametrize("how", PLACES)
def test_a_weight_of_many_tiles_is_counted_like_one(way: Way, how: str) -> None:
    """Every row once, in whichever piece it is."""
    values = drawn("F32")
    merged = expected(way, values, "F32", "F32")
    assert compared(stored(values.base, merged, values.other, "F32", "F32", how), values.delta, way).explains
    spoilt = merged.copy()
    spoilt[[0, 9, 23], [1, 19, 0]] += np.float32([1, 3, 2])
    found = compared(stored(values.base, spoilt, values.other, "F32", "F32", how), values.delta, way)
    assert (3, 480, (9, 19)) == (found.num_wrong, found.num_compared, found.worst and found.worst[:2])
    assert 3 <= found.num_inexact
    assert ([0, 1, 19] if how.startswith("transposed") else [0, 9, 23]) == found.wrong_lines.tolist()
    spoilt[[5, 20]] = np.nan
    weight = stored(values.base, spoilt, values.other, "F32", "F32", how)
    assert 2 * COLUMNS == compared(weight, values.delta, way).num_non_finite


@pytest.mark.usefixtures("small_tiles")
def test_it_ends_early_where_most_is_wrong() -> None:
    """Told to, and not where a few elements are; then less than all was compared, and nothing explained."""
    values = drawn("BF16")
    merged = expected(SUM, values, "BF16", "BF16")
    weight = stored(values.base, merged, values.other, "BF16", "BF16", "plain")
    assert compared(weight, values.delta, stop_early=True).explains
    other = values.delta.times(3)
    early, late = compared(weight, other, stop_early=True), compared(weight, other)
    assert 0 < early.num_compared < late.num_compared == 480
    assert (False, False) == (early.is_whole, early.explains)
    assert 0 < early.num_wrong <= early.num_compared
    few = merged.copy()
    few[:, 3] += 1
    found = compared(stored(values.base, few, values.other, "BF16", "BF16", "plain"), values.delta, stop_early=True)
    assert (480, ROWS) == (found.num_compared, found.num_wrong)


@pytest.mark.usefixtures("small_tiles")
def test_what_was_wrong_before_it_ended_early_counts() -> None:
    """Of all pieces that were looked at."""
    values = drawn("BF16")
    merged = expected(SUM, values, "BF16", "BF16")
    merged[0, 0], merged[9:] = merged[0, 0] + 4, merged[9:] + 4
    weight = stored(values.base, rounded(merged, "BF16"), values.other, "BF16", "BF16", "plain")
    found = compared(weight, values.delta, stop_early=True)
    assert 9 * COLUMNS < found.num_compared < 480
    assert found.num_compared - 9 * COLUMNS + 1 == found.num_wrong == found.num_inexact


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_what_is_not_finite_in_both_is_no_merge_either(dtype: str) -> None:
    """Though the sum of an infinity and anything is that infinity."""
    values = drawn(dtype)
    spoilt, merged = values.base.copy(), expected(SUM, values, dtype, dtype)
    spoilt[2, 1] = merged[2, 1] = np.inf
    found = compared(stored(spoilt, merged, values.other, dtype, dtype, "plain"), values.delta)
    assert (1, 1, False) == (found.num_non_finite, found.num_wrong, found.explains)


def test_products_may_differ_by_their_own_roundings_and_no_more() -> None:
    """In float32: another order of sums is right, a relative 1e-5 is not."""
    values = drawn("F32")
    delta = values.delta
    exact = (delta.left.astype(np.float64) @ delta.right.astype(np.float64)) * SCALE
    merged = (values.base.astype(np.float64) + exact).astype(np.float32)
    assert compared(stored(values.base, merged, values.other, "F32", "F32", "plain"), delta).explains
    off = (values.base.astype(np.float64) + exact * (1 + 1e-5)).astype(np.float32)
    found = compared(stored(values.base, off, values.other, "F32", "F32", "plain"), delta)
    assert found.num_wrong > 200
    assert compared(
        stored(values.base, off, values.other, "F32", "F32", "plain"), delta, Way("loose", tolerance=2e-5)
    ).explains


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("way", [SUM, TWICE], ids=lambda way: way.name)
def test_the_order_of_a_products_sums_is_not_inexact(way: Way) -> None:
    """In float32, of a product that is made on the way and of one that is not: each element has room of its own."""
    plain = drawn("F32")
    sizes = (4.0 ** (np.arange(ROWS) % 5)).astype(np.float32)
    values = plain._replace(delta=plain.delta._replace(left=plain.delta.left * sizes[:, None]))
    product = values.delta.left.astype(np.float64) @ values.delta.right.astype(np.float64) * np.float32(SCALE)
    merged = values.base + product.astype(np.float32)
    if way.twice:
        merged = merged + product.astype(np.float32)
    assert 50 < (merged != expected(way, values, "F32", "F32")).sum()
    found = compared(stored(values.base, merged, values.other, "F32", "F32", "plain"), values.delta, way)
    assert (0, 0) == (found.num_wrong, found.num_inexact)


@pytest.mark.parametrize("way", [SUM, LESS_EXACT[0]], ids=lambda way: way.name)
def test_wrong_rows_are_counted_wherever_they_are(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind rows that are right, and behind rows of which all is wrong."""
    monkeypatch.setattr(module, "TILE_ELEMENTS", COLUMNS)
    values = drawn("BF16")
    right = expected(way, values, "BF16", "BF16")
    for lines in ([17], [3, *range(8, 16), 20], [*range(8), 20], [23]):
        merged = right.copy()
        merged[lines] = merged[lines] + 4
        found = compared(stored(values.base, rounded(merged, "BF16"), values.other, "BF16", "BF16", "plain"),
                         values.delta, way)  # fmt: skip
        assert (COLUMNS * len(lines), lines) == (found.num_wrong, found.wrong_lines.tolist())
