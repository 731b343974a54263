"""The loops over single elements, compiled: how many of a tile are what a merge would have stored.

Owns rounding to stored dtypes and the tolerance of a float32 product; knows no tensors, files or adapters. A tile is a
few rows that stay in cache: the base and merged values as they are stored (bfloat16 as uint16, float32 as uint32), and
the delta that was just computed, float32.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

# Sums may be taken in any order, so that they fill a vector. Nothing else is relaxed: NaN and infinity are told.
_SUMS: dict[str, Any] = {
    "nogil": True,
    "cache": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
    "boundscheck": False,
}
_EXACT: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "boundscheck": False}

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""


class Rounding(NamedTuple):
    """Rounding a float32 number to a stored dtype (nearest, ties to even) by its bits: add, then mask.

    float16's subnormals, which have fewer bits than the formula leaves, are for `explain`.
    """

    half: np.uint32
    shift: np.uint32
    one: np.uint32
    mask: np.uint32
    mantissa_bits: int
    """With the leading one that is not stored."""
    smallest: float
    """The distance of subnormal numbers."""
    largest: float
    """From here on it is infinity."""


def _rounding(dropped_bits: int, mantissa_bits: int, smallest: float, largest: float) -> Rounding:
    mask = (0xFFFFFFFF >> dropped_bits) << dropped_bits
    half = (1 << (dropped_bits - 1)) - 1 if dropped_bits else 0
    return Rounding(
        np.uint32(half),
        np.uint32(dropped_bits),
        np.uint32(1 if dropped_bits else 0),
        np.uint32(mask),
        mantissa_bits,
        smallest,
        largest,
    )


ROUNDINGS = {
    "F32": _rounding(0, 24, 2.0**-149, 2.0**128),
    "BF16": _rounding(16, 8, 2.0**-133, (2.0 - 2.0**-8) * 2.0**127),
    "F16": _rounding(13, 11, 2.0**-24, 65520.0),
}
"""By dtype as safetensors spells it."""


class Scratch:
    """Rows that a thread uses again and again, each as bits and as numbers."""

    def __init__(self, columns: int) -> None:
        self.bits = np.empty((4, columns), np.uint32)
        self.values = self.bits.view(np.float32)


# What `tally` counts.
SAME, VISIBLE, WRONG_AND_SAME = range(3)
NUM_COUNTS = 3
# What it sums.
DELTA_SQUARED, DELTA_TIMES_CHANGE, CHANGE_SQUARED = range(3)
NUM_SUMS = 3


@njit(**_SUMS)  # type: ignore[untyped-decorator]
def tally(
    base: np.ndarray,
    base_shift: np.uint32,
    merged: np.ndarray,
    merged_shift: np.uint32,
    delta: np.ndarray,
    delta_first: bool,
    rounding: Rounding,
    row_tolerance: np.ndarray,
    column_tolerance: np.ndarray,
    bits: np.ndarray,
    values: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
    wrong_rows: np.ndarray,
) -> int:
    """Count and sum over a tile, into `counts` and `sums`; gives the number of elements that are not as predicted.

    Predicted is base + delta rounded to the merged dtype, the delta itself before it if `delta_first`. Counted are
    elements that are base's, whose prediction is not base's, and that are base's although it is not. Where the merged
    dtype is float32, an element may be off by row_tolerance * column_tolerance and by a rounding of the sum. Summed, in
    float32 over a row and float64 over rows: delta², delta * change, change², with change = merged - base. `wrong_rows`
    gets the wrong elements of each row.
    """
    rows, columns = delta.shape
    half, shift, one, mask = rounding.half, rounding.shift, rounding.one, rounding.mask
    base_bits, merged_bits, sum_bits, delta_bits = bits[0], bits[1], bits[2], bits[3]
    base_values, merged_values, sum_values, delta_values = values[0], values[1], values[2], values[3]
    num_same, num_visible, num_missing, num_wrong = 0, 0, 0, 0
    for i in range(rows):
        base_row, merged_row, delta_row = base[i], merged[i], delta[i]
        for j in range(columns):
            base_bits[j] = np.uint32(base_row[j]) << base_shift
            merged_bits[j] = np.uint32(merged_row[j]) << merged_shift
        dd = np.float32(0)
        dc = np.float32(0)
        cc = np.float32(0)
        if delta_first:
            for j in range(columns):
                delta_values[j] = delta_row[j]
            for j in range(columns):
                u = delta_bits[j]
                delta_bits[j] = (u + half + ((u >> shift) & one)) & mask
            for j in range(columns):
                w = base_values[j]
                x = delta_row[j]
                y = merged_values[j] - w
                sum_values[j] = w + delta_values[j]
                dd += x * x
                dc += x * y
                cc += y * y
        else:
            for j in range(columns):
                w = base_values[j]
                x = delta_row[j]
                y = merged_values[j] - w
                sum_values[j] = w + x
                dd += x * x
                dc += x * y
                cc += y * y
        # Counts of 32 bits, because those of 64 would halve what fits into a vector.
        exact = np.uint32(0)
        same = np.uint32(0)
        for j in range(columns):
            u = sum_bits[j]
            p = (u + half + ((u >> shift) & one)) & mask
            sum_bits[j] = p
            exact += np.uint32(p == merged_bits[j])
            same += np.uint32(base_bits[j] == merged_bits[j])
        right = exact
        visible = columns - same  # of a row that is exact
        if exact < columns:
            visible = np.uint32(0)
            missing = np.uint32(0)
            for j in range(columns):
                is_visible = sum_bits[j] != base_bits[j]
                visible += np.uint32(is_visible)
                missing += np.uint32(is_visible & (base_bits[j] == merged_bits[j]))
            num_missing += int(missing)
            if one == 0:
                right = np.uint32(0)
                tolerance = row_tolerance[i]
                for j in range(columns):
                    p_value = sum_values[j]
                    allowed = tolerance * column_tolerance[j] + np.float32(1.2e-7) * abs(p_value)
                    right += np.uint32(abs(merged_values[j] - p_value) <= allowed)
        num_same += int(same)
        num_visible += int(visible)
        wrong_rows[i] = columns - int(right)
        num_wrong += columns - int(right)
        sums[0] += dd
        sums[1] += dc
        sums[2] += cc
    counts[0] += num_same
    counts[1] += num_visible
    counts[2] += num_missing
    return num_wrong


# What `explain` counts.
WRONG, WRONG_AND_BASE, NON_FINITE = range(3)
NUM_EXPLAINED = 3


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def explain(
    base: np.ndarray,
    base_shift: np.uint32,
    merged: np.ndarray,
    merged_shift: np.uint32,
    delta: np.ndarray,
    delta_first: bool,
    rounding: Rounding,
    storing: Rounding,
    row_tolerance: np.ndarray,
    column_tolerance: np.ndarray,
    relative_tolerance: float,
    bits: np.ndarray,
    values: np.ndarray,
    explained: np.ndarray,
    wrong_rows: np.ndarray,
    worst: np.ndarray,
) -> None:
    """What `tally` says of a tile, element by element, allowing the delta to be another product's of the same factors.

    A delta is known to row_tolerance * column_tolerance (and relative_tolerance of itself), so a merged value is right
    if it lies between what the two ends round to, first by `rounding`, then by `storing`. Adds to `explained`: elements
    that are wrong, those of them that are base's, and those that are not finite where base is. Only rows that
    `wrong_rows` counts elements in are looked at; it gets what is left of them, and `worst` the row, column, predicted
    and merged value of the one that is farthest off, and how far, if that is farther than it says already.
    """
    rows, columns = delta.shape
    base_bits, merged_bits = bits[0], bits[1]
    base_values, merged_values = values[0], values[1]
    for i in range(rows):
        if wrong_rows[i] == 0:
            continue
        base_row, merged_row = base[i], merged[i]
        for j in range(columns):
            base_bits[j] = np.uint32(base_row[j]) << base_shift
            merged_bits[j] = np.uint32(merged_row[j]) << merged_shift
        num_wrong = 0
        for j in range(columns):
            w = np.float64(base_values[j])
            m = np.float64(merged_values[j])
            d = np.float64(delta[i, j])
            slack = np.float64(row_tolerance[i]) * np.float64(column_tolerance[j]) + relative_tolerance * abs(d)
            low, high = d - slack, d + slack
            if delta_first:
                low, high = _round(low, rounding), _round(high, rounding)
            # The sum's own rounding to float32 is part of `_round`.
            low = _round(_round(w + low, rounding), storing)
            high = _round(_round(w + high, rounding), storing)
            if low <= m <= high:
                if math.isinf(m) and not math.isinf(w):
                    explained[2] += 1
                continue
            if math.isnan(m) and math.isnan(w):
                continue
            num_wrong += 1
            if base_bits[j] == merged_bits[j]:
                explained[1] += 1
            if not math.isfinite(m):
                if math.isfinite(w):
                    explained[2] += 1
                continue
            middle = _round(_round(w + d, rounding), storing)
            if abs(m - middle) > worst[4]:
                worst[0] = i
                worst[1] = j
                worst[2] = middle
                worst[3] = m
                worst[4] = abs(m - middle)
        wrong_rows[i] = num_wrong
        explained[0] += num_wrong


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def _round(value: float, rounding: Rounding) -> float:
    """`value` as it is stored: through float32, in which sums are made."""
    single = np.float64(np.float32(value))
    if not math.isfinite(single) or single == 0.0:
        return single
    if abs(single) >= rounding.largest:
        return math.copysign(math.inf, single)
    _, exponent = math.frexp(single)
    step = max(math.ldexp(1.0, exponent - rounding.mantissa_bits), rounding.smallest)
    return float(np.rint(single / step) * step)


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def columns_by_expert(b: np.ndarray, num_experts: int, out: np.ndarray) -> None:
    """Gather lora_B (rows, R*E), expert fastest, into `out` (E, rows, R), in pieces that stay in cache."""
    rows, width = b.shape
    rank = width // num_experts
    for i in range(rows):
        row = b[i]
        for first in range(0, num_experts, 16):
            for e in range(first, min(first + 16, num_experts)):
                place = out[e, i]
                for k in range(rank):
                    place[k] = row[k * num_experts + e]
