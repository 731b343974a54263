"""One weight of base and of merged, read side by side, against a delta: how much of it is as a merge would leave it.

Owns the walk over a weight in blocks that are read and tiles that stay in cache. Judges nothing: it gives evidence, for
the expected delta and for any other that is put to it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.verify.blocks import BLOCK_BYTES, read_flat, read_rows
from harness.verify.dtypes import rounded, widen
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.factors import LowRank
from harness.verify.loops import (
    NO_TOLERANCE,
    ROUNDINGS,
    ROUNDOFF,
    UNIT_ROUNDOFF,
    Explained,
    Tile,
    explain,
    tally,
)
from harness.verify.places import Place
from harness.verify.ways import Way
from harness.verify.workspace import Workspace

TILE_ELEMENTS = 96 * 1024
"""Of a product that is compared while it is still in the cache of a core: 384 KiB."""
MIN_TILE_ROWS = 8
MOSTLY = 0.25
"""Of a tile: where more is wrong, it is not for a product's roundings."""
SHIFTS = {"BF16": 16}
NO_SHIFT = 0


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

    `other_base` is taken in place of the site's own base. With `stop_early` it ends at the first tile that is mostly
    wrong.
    """
    rows, columns = pairing.shape
    turned = delta.T if pairing.flipped else delta
    left, right = turned.left * np.float32(turned.scale), turned.right
    unscaled = turned if way.factors_in or way.delta_in else None
    dtype = pairing.base.entry.dtype if way.in_base_dtype else pairing.merged.entry.dtype
    rounding = ROUNDINGS[dtype]
    tolerances = _Tolerances(left, right, way, space)
    is_toleranced = dtype == "F32"
    counters = space.counters(columns)
    num_missing = 0
    found = Evidence(num_elements=rows * columns)
    # A product that is rounded lies on one side or the other of a tie, as the order of its sums has it.
    relative = 2 * ROUNDOFF[way.delta_in] if way.delta_in else 0.0
    for stored in _tiles(pairing, other_base or pairing.base, way, space):
        tile, stop = stored, stored.start + len(stored.base)
        product = space.buffers.array("delta", (stop - tile.start, columns), np.float32)
        if unscaled is None:
            np.matmul(left[tile.start : stop], right, out=product)
        else:
            product[:] = _low_product(unscaled, tile.start, stop, way)
        if way.twice:
            tile = _with_delta(tile, product, pairing.merged.entry.dtype)
        if way.sum_in:
            tile = _with_delta(tile, rounded(product, way.sum_in), way.sum_in, base_in=way.sum_in)
            product[:] = 0
        wrong_rows = space.buffers.array("wrong_rows", (len(product),), np.int64)
        tolerance = tolerances.of(tile.start, stop) if is_toleranced else NO_TOLERANCE
        num_wrong = tally(tile, product, way.delta_first, rounding, tolerance, counters, wrong_rows)
        found.num_compared += product.size
        found.num_inexact += num_wrong
        if not num_wrong:
            continue
        is_mostly_wrong = num_wrong > MOSTLY * product.size
        if stop_early and is_mostly_wrong:
            found.num_wrong += num_wrong
            break
        if is_mostly_wrong and found.worst is not None:
            # No tolerance makes this right: the counts will do.
            found.num_wrong += num_wrong
            found.num_wrong_and_base += counters.num_missing - num_missing
        else:
            storing = ROUNDINGS[pairing.merged.entry.dtype]
            tolerance = tolerances.of(tile.start, stop)
            left_over = explain(
                tile, product, way.delta_first, rounding, storing, tolerance, relative, counters, wrong_rows
            )
            found.num_wrong += left_over.num_wrong
            found.num_wrong_and_base += left_over.num_base
            found.num_non_finite += left_over.num_non_finite
            _note_farthest(found, left_over, tile.start, pairing.flipped)
        num_missing = counters.num_missing
        found.note_lines(tile.start, wrong_rows)
    found.num_same, found.num_visible = counters.num_same, counters.num_visible
    found.delta_squared, found.delta_times_change, found.change_squared = (float(each) for each in counters.sums)
    if found.is_whole and not np.isfinite(found.change_squared):
        _count_non_finite(found, pairing, way, space)
    return found


class _Tolerances:
    """How far the product of two float32 factors may lie from another one of the same: made when first asked for."""

    def __init__(self, left: np.ndarray, right: np.ndarray, way: Way, space: Workspace) -> None:
        self._left, self._right, self._space = left, right, space
        # Each of two products of R terms is off by R roundings of each term at most, and both by that of the scale.
        self._roundoff = np.float32(2 * (left.shape[1] + 4) * UNIT_ROUNDOFF + way.tolerance)
        self._sizes: np.ndarray | None = None

    def of(self, start: int, stop: int) -> np.ndarray:
        """Of each element of these rows. From its own terms: lengths would lend one element the room of another."""
        if self._sizes is None:
            self._sizes = np.abs(self._right) * self._roundoff
        shape = (stop - start, self._right.shape[1])
        product = self._space.buffers.array("tolerance", shape, np.float32)
        return np.matmul(np.abs(self._left[start:stop]), self._sizes, out=product)


def _low_product(delta: LowRank, start: int, stop: int, way: Way) -> np.ndarray:
    dtype = way.factors_in or "F32"
    product: np.ndarray = rounded(delta.left[start:stop], dtype) @ rounded(delta.right, dtype)
    scaled = (rounded(product, way.product_in) if way.product_in else product) * np.float32(delta.scale)
    return rounded(scaled, way.delta_in) if way.delta_in else scaled


def _with_delta(tile: Tile, product: np.ndarray, dtype: str, base_in: str = "F32") -> Tile:
    """The tile with the product in its base, rounded to `dtype`."""
    base = rounded(widen(tile.base, "BF16" if tile.base_shift else "F32"), base_in)
    return tile._replace(base=rounded(base + product, dtype).view(np.uint32), base_shift=NO_SHIFT)


def _count_non_finite(found: Evidence, pairing: Pairing, way: Way, space: Workspace) -> None:
    """What is not finite is no merge of anything, even where base or the factors are not finite either."""
    found.num_non_finite = 0
    for tile in _tiles(pairing, pairing.base, way, space):
        merged = widen(tile.merged, "BF16" if tile.merged_shift else "F32")
        found.num_non_finite += int((~np.isfinite(merged)).sum())
    found.num_wrong = max(found.num_wrong, found.num_non_finite)


def _tiles(pairing: Pairing, base: Place, way: Way, space: Workspace) -> Iterator[Tile]:
    rows, columns = pairing.shape
    tile_rows = min(rows, max(MIN_TILE_ROWS, TILE_ELEMENTS // columns))
    block_rows = max(1, BLOCK_BYTES // (4 * columns * tile_rows)) * tile_rows
    for start in range(0, rows, block_rows):
        stop = min(start + block_rows, rows)
        base_bits, base_shift = _block(base, pairing, start, stop, space, "base")
        if way.base_first:
            values = widen(base_bits, "BF16") if base_shift else base_bits.view(np.float32)
            base_bits, base_shift = rounded(values, pairing.merged.entry.dtype).view(np.uint32), NO_SHIFT
        merged_bits, merged_shift = _block(pairing.merged, pairing, start, stop, space, "merged")
        for row in range(0, stop - start, tile_rows):
            some = slice(row, row + tile_rows)
            yield Tile(start + row, base_bits[some], base_shift, merged_bits[some], merged_shift)


def _block(place: Place, pairing: Pairing, start: int, stop: int, space: Workspace, use: str) -> tuple[np.ndarray, int]:
    """Bits, and how far to shift them left to have float32's: 0 for float16, whose numbers are made here."""
    if len(place.shape) == 1:
        bits = read_flat(space.files, place.entry, 0, place.shape[0], space.buffers, use)[None]
    else:
        bits = read_rows(space.files, place, pairing.flipped, start, stop, space.buffers, use)
    if place.entry.dtype == "F16":
        return widen(bits, "F16").view(np.uint32), NO_SHIFT
    return bits, SHIFTS.get(place.entry.dtype, NO_SHIFT)


def _note_farthest(found: Evidence, left_over: Explained, start: int, flipped: bool) -> None:
    farthest = -1.0 if found.worst is None else abs(found.worst.expected - found.worst.got)
    if left_over.distance > max(farthest, 0.0):
        row, column = start + left_over.row, left_over.column
        row, column = (column, row) if flipped else (row, column)
        found.worst = Worst(row, column, left_over.expected, left_over.got)
