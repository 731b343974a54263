"""One weight of base and of merged, read side by side, against a delta: how much of it is as a merge would leave it.

Owns the walk over a weight in the blocks that are read, and what is predicted for them. Judges nothing: it gives
evidence, for the expected delta and for any other that is put to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

import numpy as np

from harness.verify.blocks import BLOCK_BYTES, read_flat, read_rows
from harness.verify.dtypes import rounded, widen
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.factors import LowRank
from harness.verify.loops import NOTHING, Explained, Lines, Product, Tile, explain, merge, tally
from harness.verify.places import Place
from harness.verify.roundings import ROUNDOFF, UNIT_ROUNDOFF
from harness.verify.ways import Way
from harness.verify.workspace import Workspace

TILE_ELEMENTS = 96 * 1024
"""Of a product that is made before it is compared, so that it stays in the cache of a core: 384 KiB."""
MIN_TILE_ROWS = 8
MOSTLY = 0.25
"""Of the elements: where more is wrong, it is not for a product's roundings."""


def compare(
    pairing: Pairing,
    delta: LowRank,
    way: Way,
    space: Workspace,
    *,
    other_base: Place | None = None,
    stop_early: bool = False,
) -> Evidence:
    """Evidence for `delta` (in the site's orientation, (out, in)), merged in `way`.

    `other_base` is taken in place of the site's own base. With `stop_early` it ends where most is seen to be wrong.
    """
    rows, columns = pairing.shape
    merged_dtype = pairing.merged.entry.dtype
    dtype = pairing.base.entry.dtype if way.in_base_dtype else merged_dtype
    prediction = (_Plain if way.is_plain else _Rounded)(delta.T if pairing.flipped else delta, way, dtype, space)
    most_wrong = int(MOSTLY * columns) if stop_early else columns
    counters = space.counters
    counters.clear()
    found = Evidence(num_elements=rows * columns)
    for stored in _tiles(pairing, other_base or pairing.base, way, space):
        lines = Lines(*space.buffers.array("lines", (2, len(stored.base)), np.int64))
        tile = prediction.prepared(stored, merged_dtype)
        num_rows = prediction.count(tile, most_wrong, lines)
        num_wrong = int(lines.wrong[:num_rows].sum())
        found.num_compared += num_rows * columns
        found.num_inexact += num_wrong
        if stop_early and num_wrong > most_wrong * num_rows:
            found.num_wrong += num_wrong
            break
        if num_wrong:
            _allow_for_roundings(found, prediction, tile, lines, merged_dtype, pairing.flipped)
    found.num_same, found.num_visible = counters.num_same, counters.num_visible
    found.delta_squared, found.delta_times_change, found.change_squared = (float(each) for each in counters.sums)
    if found.is_whole and not np.isfinite(found.change_squared):
        _count_non_finite(found, pairing, way, space)
    return found


class _Prediction:
    """What a tile of merged should be, under one delta and one way to merge it."""

    def __init__(self, delta: LowRank, way: Way, dtype: str, space: Workspace) -> None:
        self.way, self.dtype, self.space = way, dtype, space
        self.low_rank = delta
        self.left, self.right = delta.left * np.float32(delta.scale), delta.right
        # A product that is rounded lies on one side or the other of a tie, as the order of its sums has it.
        self.relative = 2 * ROUNDOFF[way.delta_in] if way.delta_in else 0.0

    @cached_property
    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors whose product is how far that of left and right may lie from another one of the same.

        Each of two products of R terms is off by R roundings of each term at most, and both by that of the scale. From
        each element's own terms: lengths would lend one element the room of another.
        """
        roundoff = np.float32(2 * (len(self.right) + 4) * UNIT_ROUNDOFF + self.way.tolerance)
        return np.abs(self.left), np.abs(self.right) * roundoff

    def tolerance(self, rows: np.ndarray | slice) -> np.ndarray:
        """Of each element of these rows of the weight."""
        left, right = self.sizes
        product: np.ndarray = left[rows] @ right
        return product


class _Plain(_Prediction):
    """The product is made in float32 while it is compared."""

    @cached_property
    def product(self) -> Product:
        """Of the whole weight."""
        return Product(self.left, self.right, *(self.sizes if self.dtype == "F32" else (NOTHING, NOTHING)))

    def prepared(self, tile: Tile, merged_dtype: str) -> Tile:
        """As it is stored."""
        return tile

    def count(self, tile: Tile, most_wrong: int, lines: Lines) -> int:
        """Counts the tile; gives how many of its rows were looked at."""
        product = self.product.of(slice(tile.start, tile.start + len(tile.base)))
        space = self.space
        return merge(tile, product, self.way.delta_first, self.dtype, most_wrong, space.buffers, space.counters, lines)

    def delta(self, tile: Tile, rows: np.ndarray) -> np.ndarray:
        """Of these rows of the tile."""
        product: np.ndarray = self.left[tile.start + rows] @ self.right
        return product


class _Rounded(_Prediction):
    """The product is rounded on its way, or the sum is."""

    made: np.ndarray
    """Of the tile that was prepared last."""

    def prepared(self, tile: Tile, merged_dtype: str) -> Tile:
        """With what was added to base before, and the product made."""
        way, some = self.way, slice(tile.start, tile.start + len(tile.base))
        self.made = self._low_product(some) if way.factors_in or way.delta_in else self.left[some] @ self.right
        if way.twice:
            return _with_delta(tile, self.made, merged_dtype)
        if way.sum_in:
            tile = _with_delta(tile, rounded(self.made, way.sum_in), way.sum_in, base_in=way.sum_in)
            self.made = np.zeros_like(self.made)
        return tile

    def count(self, tile: Tile, most_wrong: int, lines: Lines) -> int:
        """Counts the tile; gives how many rows it has."""
        num_rows = len(tile.base)
        tolerance = self.tolerance(slice(tile.start, tile.start + num_rows)) if self.dtype == "F32" else NOTHING
        return tally(tile, self.made, self.way.delta_first, self.dtype, tolerance, self.space.counters, lines)

    def delta(self, tile: Tile, rows: np.ndarray) -> np.ndarray:
        """Of these rows of the tile."""
        made: np.ndarray = self.made[rows]
        return made

    def _low_product(self, some: slice) -> np.ndarray:
        way, low_rank = self.way, self.low_rank
        dtype = way.factors_in or "F32"
        product: np.ndarray = rounded(low_rank.left[some], dtype) @ rounded(low_rank.right, dtype)
        scaled = (rounded(product, way.product_in) if way.product_in else product) * np.float32(low_rank.scale)
        return rounded(scaled, way.delta_in) if way.delta_in else scaled


def _allow_for_roundings(
    found: Evidence, prediction: _Plain | _Rounded, tile: Tile, lines: Lines, merged_dtype: str, flipped: bool
) -> None:
    """Count as wrong what no other product of the factors would give."""
    num_rows, columns = tile.base.shape
    # The first few rows tell whether there is anything to explain.
    starts = [0, *range(MIN_TILE_ROWS, num_rows, _tile_rows(num_rows, columns))]
    for start, stop in pairwise([*starts, num_rows]):
        some = slice(start, stop)
        num_wrong = int(lines.wrong[some].sum())
        if not num_wrong:
            continue
        if found.worst is not None and num_wrong > MOSTLY * (stop - start) * columns:
            # No tolerance makes this right: the counts will do.
            found.num_wrong += num_wrong
            found.num_wrong_and_base += int(lines.missing[some].sum())
            continue
        rows = start + np.flatnonzero(lines.wrong[some])
        left_over = lines.wrong[rows]
        explained = explain(
            tile.some(rows), prediction.delta(tile, rows), prediction.way.delta_first, prediction.dtype, merged_dtype,
            prediction.tolerance(tile.start + rows), prediction.relative, left_over,
        )  # fmt: skip
        lines.wrong[rows] = left_over
        found.num_wrong += explained.num_wrong
        found.num_wrong_and_base += explained.num_base
        found.num_non_finite += explained.num_non_finite
        _note_farthest(found, explained, tile.start + rows, flipped)
    found.note_lines(tile.start, lines.wrong)


def _with_delta(tile: Tile, product: np.ndarray, dtype: str, base_in: str = "F32") -> Tile:
    """The tile with the product in its base, rounded to `dtype`."""
    base = rounded(_numbers(tile.base), base_in)
    return tile._replace(base=rounded(base + product, dtype).view(np.uint32))


def _numbers(bits: np.ndarray) -> np.ndarray:
    """Of a tile."""
    return widen(bits, "BF16" if bits.dtype == np.uint16 else "F32")


def _count_non_finite(found: Evidence, pairing: Pairing, way: Way, space: Workspace) -> None:
    """What is not finite is no merge of anything, even where base or the factors are not finite either."""
    found.num_non_finite = 0
    for tile in _tiles(pairing, pairing.base, way, space):
        found.num_non_finite += int((~np.isfinite(_numbers(tile.merged))).sum())
    found.num_wrong = max(found.num_wrong, found.num_non_finite)


def _tile_rows(rows: int, columns: int) -> int:
    return min(rows, max(MIN_TILE_ROWS, TILE_ELEMENTS // columns))


def _tiles(pairing: Pairing, base: Place, way: Way, space: Workspace) -> Iterator[Tile]:
    """The weight piece by piece: as it was read where the product is made on the way, else as a product is held."""
    rows, columns = pairing.shape
    tile_rows = _tile_rows(rows, columns)
    block_rows = max(1, BLOCK_BYTES // (4 * columns * tile_rows)) * tile_rows
    for start in range(0, rows, block_rows):
        stop = min(start + block_rows, rows)
        base_bits = _block(base, pairing, start, stop, space, "base")
        if way.base_first:
            base_bits = rounded(_numbers(base_bits), pairing.merged.entry.dtype).view(np.uint32)
        merged_bits = _block(pairing.merged, pairing, start, stop, space, "merged")
        step = stop - start if way.is_plain else tile_rows
        for row in range(0, stop - start, step):
            yield Tile(start + row, base_bits[row : row + step], merged_bits[row : row + step])


def _block(place: Place, pairing: Pairing, start: int, stop: int, space: Workspace, use: str) -> np.ndarray:
    """Bits as the loops take them: float16's numbers are made here."""
    if len(place.shape) == 1:
        bits = read_flat(space.files, place.entry, 0, place.shape[0], space.buffers, use)[None]
    else:
        bits = read_rows(space.files, place, pairing.flipped, start, stop, space.buffers, use)
    return widen(bits, "F16").view(np.uint32) if place.entry.dtype == "F16" else bits


def _note_farthest(found: Evidence, explained: Explained, rows: np.ndarray, flipped: bool) -> None:
    farthest = -1.0 if found.worst is None else abs(found.worst.expected - found.worst.got)
    if explained.distance > max(farthest, 0.0):
        row, column = int(rows[explained.row]), explained.column
        row, column = (column, row) if flipped else (row, column)
        found.worst = Worst(row, column, explained.expected, explained.got)
