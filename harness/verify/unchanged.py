"""Weights that should be base's, or what the adapter holds in full: compared bit for bit, in pieces.

A change of dtype is a rounding. Gives evidence; judges nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.verify.blocks import BLOCK_BYTES, read_flat, read_rows
from harness.verify.dtypes import FLOATS, narrow, widen
from harness.verify.evidence import Evidence, Pairing, Worst
from harness.verify.places import Place
from harness.verify.roundings import ROUNDINGS
from harness.verify.workspace import Workspace

BASE, MERGED = "base", "merged"
"""The names of their buffers."""


def compare_unchanged(pairing: Pairing, space: Workspace) -> Evidence:
    """Evidence that a weight is base's, bit for bit, or rounded to merged's dtype where that is another."""
    found = Evidence(num_elements=pairing.num_elements)
    is_plain = pairing.base.entry.dtype == pairing.merged.entry.dtype and _is_whole(pairing.base, pairing.merged)
    for start, base, merged in _flat(pairing, space) if is_plain else _converted(pairing, space):
        found.num_compared += base.size
        if _equal(base, merged):
            continue
        dtype = pairing.merged.entry.dtype
        wrong = base != merged
        if dtype in ROUNDINGS:
            expected, got = widen(base, dtype), widen(merged, dtype)
            wrong &= ~(np.isnan(expected) & np.isnan(got))
            found.num_non_finite += int((wrong & ~np.isfinite(got)).sum())
            _note_worst(found, pairing.shape[1], pairing.flipped, start, wrong, expected, got)
        found.num_wrong += int(wrong.sum())
    return found


def compare_held(expected: np.ndarray, merged: Place, base: Place | None, space: Workspace) -> Evidence:
    """Evidence that a weight is what `expected` (float32, flat) is when stored as merged is.

    `num_wrong_and_base` counts the elements that are wrong and base's, if base has as many.
    """
    dtype = merged.entry.dtype
    wanted, got = narrow(expected, dtype), _all_bits(merged, space, MERGED)
    found = Evidence(num_elements=wanted.size, num_compared=wanted.size)
    expected_values, got_values = widen(wanted, dtype), widen(got, dtype)
    wrong = (expected_values != got_values) & ~(np.isnan(expected_values) & np.isnan(got_values))
    found.num_wrong = int(wrong.sum())
    found.num_non_finite = int((wrong & ~np.isfinite(got_values)).sum())
    if base is not None and base.entry.dtype in FLOATS and base.shape == merged.shape:
        before = narrow(widen(_all_bits(base, space, BASE), base.entry.dtype), dtype)
        found.num_wrong_and_base = int((wrong & (before == got)).sum())
        found.num_visible = int((wanted != before).sum())
        found.num_same = int((got == before).sum())
    else:
        found.num_visible = wanted.size
    columns = merged.shape[-1] if len(merged.shape) == 2 else wanted.size
    _note_worst(found, columns, False, 0, wrong, expected_values, got_values)
    return found


def _flat(pairing: Pairing, space: Workspace) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Pieces of both as they are stored."""
    num_elements = pairing.num_elements
    first = [0 if place.expert is None else place.expert * num_elements for place in (pairing.base, pairing.merged)]
    piece = BLOCK_BYTES // 2
    for start in range(0, num_elements, piece):
        stop = min(start + piece, num_elements)
        base = read_flat(space.files, pairing.base.entry, first[0] + start, first[0] + stop, space.buffers, BASE)
        merged = read_flat(space.files, pairing.merged.entry, first[1] + start, first[1] + stop, space.buffers, MERGED)
        yield start, base, merged


def _converted(pairing: Pairing, space: Workspace) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Pieces of both as bits of merged's dtype, walked as base is stored."""
    rows, columns = pairing.shape
    block_rows = max(1, BLOCK_BYTES // (4 * max(columns, 1)))
    same_dtype = pairing.base.entry.dtype == pairing.merged.entry.dtype
    for start in range(0, rows, block_rows):
        stop = min(start + block_rows, rows)
        if len(pairing.base.shape) == 2:
            base, merged = (
                read_rows(space.files, place, pairing.flipped, start, stop, space.buffers, use)
                for place, use in ((pairing.base, BASE), (pairing.merged, MERGED))
            )
        else:
            base, merged = _all_bits(pairing.base, space, BASE), _all_bits(pairing.merged, space, MERGED)
        if not same_dtype:
            base = narrow(widen(base, pairing.base.entry.dtype), pairing.merged.entry.dtype)
        yield start * columns, base.reshape(-1), merged.reshape(-1)


def _all_bits(place: Place, space: Workspace, use: str) -> np.ndarray:
    """A whole weight in the site's own orientation, flat."""
    if len(place.shape) == 2:
        return read_rows(space.files, place, False, 0, place.shape[0], space.buffers, use).reshape(-1)
    num_elements = math.prod(place.shape)
    return read_flat(space.files, place.entry, 0, num_elements, space.buffers, use)


def _is_whole(base: Place, merged: Place) -> bool:
    """Whether both are stored without gaps, and in the same orientation."""
    return all(
        not place.transposed and (place.expert is None or place.shape == place.entry.shape[1:])
        for place in (base, merged)
    )


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Eight bytes at a time, which is several times as fast."""
    whole = first.nbytes // 8 * 8
    one, other = first.view(np.uint8), second.view(np.uint8)
    return bool(
        np.array_equal(one[:whole].view(np.uint64), other[:whole].view(np.uint64))
        and np.array_equal(one[whole:], other[whole:])
    )


def _note_worst(
    found: Evidence,
    columns: int,
    flipped: bool,
    start: int,
    wrong: np.ndarray,
    expected: np.ndarray,
    got: np.ndarray,
) -> None:
    if not wrong.any():
        return
    distance = np.where(wrong, _distance(expected, got), -1.0)
    at = int(distance.argmax())
    if found.worst is not None:
        before = np.array(found.worst[2:], np.float32)
        if _distance(before[0], before[1]) >= distance[at]:
            return
    row, column = divmod(start + at, max(columns, 1))
    row, column = (column, row) if flipped else (row, column)
    found.worst = Worst(row, column, float(expected[at]), float(got[at]))


def _distance(expected: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Of each from the other, in float32: that of a NaN is more than any, and that of an infinity the most there is."""
    with np.errstate(invalid="ignore", over="ignore"):
        distance: np.ndarray = np.nan_to_num(np.abs(expected - got), nan=np.inf)
    return distance
