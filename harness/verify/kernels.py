"""The loops over single elements, as numba compiles them: how many of a tile are what a merge would have stored.

Imported where they are compiled only (`native.py`); `loops.py` says what is passed, and calls the machine code. Sums
may be taken in any order, so that they fill a vector. Nothing else is relaxed: NaN and infinity are told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, int64, njit  # type: ignore[attr-defined]
from numba.types import voidptr  # type: ignore[attr-defined]

_SUMS: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "boundscheck": False}
_EXACT: dict[str, Any] = {"error_model": "numpy", "boundscheck": False}


@njit(**_SUMS)  # type: ignore[untyped-decorator]
def _tally(
    base: np.ndarray,
    base_shift: np.uint32,
    merged: np.ndarray,
    merged_shift: np.uint32,
    delta: np.ndarray,
    delta_first: bool,
    half: np.uint32,
    shift: np.uint32,
    one: np.uint32,
    mask: np.uint32,
    tolerance: np.ndarray,
    bits: np.ndarray,
    values: np.ndarray,
    counts: np.ndarray,
    sums: np.ndarray,
    wrong_rows: np.ndarray,
) -> int:
    """`loops.tally`. `bits` and `values` are the same four rows, as uint32 and as float32."""
    rows, columns = delta.shape
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
                allowed_row = tolerance[i]
                for j in range(columns):
                    p_value = sum_values[j]
                    allowed = allowed_row[j] + np.float32(1.2e-7) * abs(p_value)
                    # A factor that is infinite has infinite room, and nothing is near it.
                    right += np.uint32((abs(merged_values[j] - p_value) <= allowed) & (allowed < np.inf))
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


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def _explain(
    base: np.ndarray,
    base_shift: np.uint32,
    merged: np.ndarray,
    merged_shift: np.uint32,
    delta: np.ndarray,
    delta_first: bool,
    masks: np.ndarray,
    numbers: np.ndarray,
    tolerance: np.ndarray,
    bits: np.ndarray,
    values: np.ndarray,
    explained: np.ndarray,
    wrong_rows: np.ndarray,
    worst: np.ndarray,
) -> None:
    """`loops.explain`. `masks` and `limits` are those of both roundings, one after the other."""
    one, other = masks[0:4], masks[4:8]
    limits, other_limits = numbers[0:3], numbers[3:6]
    relative_tolerance = numbers[6]
    number_bits, number = bits[2], values[2]
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
            slack = np.float64(tolerance[i, j]) + relative_tolerance * abs(d)
            if not math.isfinite(slack):
                slack = 0.0  # factors beyond all numbers leave no room, and not all of it
            low, high = d - slack, d + slack
            if delta_first:
                low = _round(low, one, limits, number_bits, number)
                high = _round(high, one, limits, number_bits, number)
            # The sum's own rounding to float32 is part of `_round`.
            low = _round(w + low, one, limits, number_bits, number)
            low = _round(low, other, other_limits, number_bits, number)
            high = _round(w + high, one, limits, number_bits, number)
            high = _round(high, other, other_limits, number_bits, number)
            if not math.isfinite(m):
                explained[2] += 1
            if low <= m <= high or (math.isnan(m) and math.isnan(w)):
                continue
            num_wrong += 1
            if base_bits[j] == merged_bits[j]:
                explained[1] += 1
            if not math.isfinite(m):
                continue
            middle = _round(w + d, one, limits, number_bits, number)
            middle = _round(middle, other, other_limits, number_bits, number)
            if abs(m - middle) > worst[4]:
                worst[0] = i
                worst[1] = j
                worst[2] = middle
                worst[3] = m
                worst[4] = abs(m - middle)
        wrong_rows[i] = num_wrong
        explained[0] += num_wrong


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def _round(value: float, masks: np.ndarray, limits: np.ndarray, bits: np.ndarray, values: np.ndarray) -> float:
    """`value` as it is stored: through float32, in which sums are made. By bits: frexp would need numba's library."""
    values[0] = np.float32(value)
    single = np.float64(values[0])
    if not math.isfinite(single):
        return single
    if abs(single) >= limits[2]:
        return math.copysign(math.inf, single)
    if abs(single) < limits[0]:
        return float(np.rint(single / limits[1]) * limits[1])
    u = bits[0]
    bits[0] = (u + masks[0] + ((u >> masks[1]) & masks[2])) & masks[3]
    return np.float64(values[0])


@njit(**_EXACT)  # type: ignore[untyped-decorator]
def _columns_by_expert(b: np.ndarray, num_experts: int, out: np.ndarray) -> None:
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


def _tally_entry(bits_of_base: Any, bits_of_merged: Any) -> Callable[..., int]:
    """`_tally` as a function of addresses, for one pair of stored sizes."""

    def entry(
        base: Any, base_shift: int, merged: Any, merged_shift: int, delta: Any, rows: int, columns: int,
        delta_first: int, half: int, shift: int, one: int, mask: int, tolerance: Any,
        scratch: Any, counts: Any, sums: Any, wrong_rows: Any,
    ) -> int:  # fmt: skip
        num_wrong: int = _tally(
            carray(base, (rows, columns), bits_of_base), np.uint32(base_shift),
            carray(merged, (rows, columns), bits_of_merged), np.uint32(merged_shift),
            carray(delta, (rows, columns), np.float32), delta_first != 0,
            np.uint32(half), np.uint32(shift), np.uint32(one), np.uint32(mask),
            carray(tolerance, (rows, columns), np.float32),
            carray(scratch, (4, columns), np.uint32), carray(scratch, (4, columns), np.float32),
            carray(counts, (3,), np.int64), carray(sums, (3,), np.float64), carray(wrong_rows, (rows,), np.int64),
        )  # fmt: skip
        return num_wrong

    return entry


def _explain_entry(bits_of_base: Any, bits_of_merged: Any) -> Callable[..., int]:
    """`_explain` as a function of addresses, for one pair of stored sizes."""

    def entry(
        base: Any, base_shift: int, merged: Any, merged_shift: int, delta: Any, rows: int, columns: int,
        delta_first: int, masks: Any, numbers: Any, tolerance: Any, scratch: Any, explained: Any, wrong_rows: Any,
        worst: Any,
    ) -> int:  # fmt: skip
        _explain(
            carray(base, (rows, columns), bits_of_base), np.uint32(base_shift),
            carray(merged, (rows, columns), bits_of_merged), np.uint32(merged_shift),
            carray(delta, (rows, columns), np.float32), delta_first != 0,
            carray(masks, (8,), np.uint32), carray(numbers, (7,), np.float64),
            carray(tolerance, (rows, columns), np.float32),
            carray(scratch, (4, columns), np.uint32), carray(scratch, (4, columns), np.float32),
            carray(explained, (3,), np.int64), carray(wrong_rows, (rows,), np.int64), carray(worst, (5,), np.float64),
        )  # fmt: skip
        return 0

    return entry


def _columns_entry(b: Any, rows: int, width: int, num_experts: int, out: Any) -> int:
    """`_columns_by_expert` as a function of addresses."""
    by_expert = carray(out, (num_experts, rows, width // num_experts), np.float32)
    _columns_by_expert(carray(b, (rows, width), np.float32), num_experts, by_expert)
    return 0


_SIZES = {"16": np.uint16, "32": np.uint32}
_TALLY = int64(
    voidptr, int64, voidptr, int64, voidptr, int64, int64, int64, int64, int64, int64, int64,
    voidptr, voidptr, voidptr, voidptr, voidptr,
)  # fmt: skip
_EXPLAIN = int64(
    voidptr, int64, voidptr, int64, voidptr, int64, int64, int64,
    voidptr, voidptr, voidptr, voidptr, voidptr, voidptr, voidptr,
)  # fmt: skip
_COLUMNS = int64(voidptr, int64, int64, int64, voidptr)
ENTRIES: dict[str, tuple[Any, Callable[..., int]]] = {
    **{f"tally_{b}_{m}": (_TALLY, _tally_entry(_SIZES[b], _SIZES[m])) for b in _SIZES for m in _SIZES},
    **{f"explain_{b}_{m}": (_EXPLAIN, _explain_entry(_SIZES[b], _SIZES[m])) for b in _SIZES for m in _SIZES},
    "columns_by_expert": (_COLUMNS, _columns_entry),
}
"""What `native.py` compiles, by name (with the bits of base and merged): addresses and integers in, an integer out."""
