"""The loops over single elements, as numba compiles them: how many of a tile are what a merge would have stored.

Imported where they are compiled only (`native.py`); `loops.py` says what is passed, and calls the machine code. Sums
may be taken in any order, so that they fill a vector. Nothing else is relaxed: NaN and infinity are told.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, int64  # type: ignore[attr-defined]
from numba.types import voidptr  # type: ignore[attr-defined]

from harness.verify.lanes import LANES, ROWS
from harness.verify.products import compiled, multiply, pack
from harness.verify.roundings import ROUNDINGS, Rounding

FEWEST = 8
"""Rows that must be looked at before all are given up."""
_REORDERED = ("reassoc", "contract", "nsz")
"""Sums may be taken in any order."""


@compiled()
def _bits(number: np.floating) -> np.uint32:
    return np.float32(number).view(np.uint32)


@compiled()
def _number(bits: np.uint32) -> np.float32:
    return np.uint32(bits).view(np.float32)


def _of(base_bits: Any, merged_bits: Any, rounding: Rounding) -> tuple[Callable[..., int], Callable[..., int]]:
    """`loops.tally` and `loops.merge` as functions of addresses, for what is stored in so many bits, and a rounding.

    With these known while it is compiled, an element takes one cycle.
    """
    base_shift, merged_shift = (np.uint32(16 if bits is np.uint16 else 0) for bits in (base_bits, merged_bits))
    half, shift = np.uint32(rounding.half), np.uint32(rounding.shift)
    one, mask = np.uint32(rounding.one), np.uint32(rounding.mask)
    is_float32 = rounding.shift == 0

    # numba makes 64 bits of two times 32 unless told each time, and that would halve what fits into a vector.
    @compiled()
    def rounded(bits: np.uint32) -> np.uint32:
        return np.uint32(np.uint32(bits + np.uint32(half + np.uint32(np.uint32(bits >> shift) & one))) & mask)

    @compiled()
    def base_of(stored: np.unsignedinteger) -> np.uint32:
        return np.uint32(np.uint32(stored) << base_shift)

    @compiled()
    def merged_of(stored: np.unsignedinteger) -> np.uint32:
        return np.uint32(np.uint32(stored) << merged_shift)

    @compiled()
    def predicted(base: np.uint32, delta: np.float32, delta_first: bool) -> np.uint32:
        added = _number(rounded(_bits(delta))) if delta_first else np.float32(delta)
        return rounded(_bits(_number(base) + added))

    @compiled(*_REORDERED)
    def count_row(
        base: np.ndarray, merged: np.ndarray, delta: np.ndarray, delta_first: bool, sums: np.ndarray
    ) -> tuple[int, int]:
        """How many elements are exactly as predicted, and how many are base's."""
        exact, same = np.uint32(0), np.uint32(0)
        dd, dc, cc = np.float32(0), np.float32(0), np.float32(0)
        for j in range(len(delta)):
            b, m, d = base_of(base[j]), merged_of(merged[j]), delta[j]
            change = _number(m) - _number(b)
            dd += d * d
            dc += d * change
            cc += change * change
            exact = np.uint32(exact + np.uint32(predicted(b, d, delta_first) == m))
            same = np.uint32(same + np.uint32(b == m))
        sums[0] += dd
        sums[1] += dc
        sums[2] += cc
        return int(exact), int(same)

    @compiled()
    def count_wrong(
        base: np.ndarray, merged: np.ndarray, delta: np.ndarray, delta_first: bool, tolerance: np.ndarray
    ) -> tuple[int, int, int]:
        """Of a row: how many elements are wrong, how many should not be base's, and how many of these are."""
        right, visible, missing = np.uint32(0), np.uint32(0), np.uint32(0)
        for j in range(len(delta)):
            b, m = base_of(base[j]), merged_of(merged[j])
            p = predicted(b, delta[j], delta_first)
            visible = np.uint32(visible + np.uint32(p != b))
            missing = np.uint32(missing + np.uint32((p != b) & (b == m)))
            if is_float32:
                value = _number(p)
                allowed = tolerance[j] + np.float32(1.2e-7) * abs(value)
                # A factor that is infinite has infinite room, and nothing is near it.
                is_near = (abs(_number(m) - value) <= allowed) & (allowed < np.float32(np.inf))
                right = np.uint32(right + np.uint32(is_near | (p == m)))
            else:
                right = np.uint32(right + np.uint32(p == m))
        return len(delta) - int(right), int(visible), int(missing)

    def tally(
        base_at: Any, merged_at: Any, delta_at: Any, rows: int, columns: int, delta_first: int, tolerance_at: Any,
        counts_at: Any, sums_at: Any, wrong_at: Any, missing_at: Any,
    ) -> int:  # fmt: skip
        base, merged = carray(base_at, (rows, columns), base_bits), carray(merged_at, (rows, columns), merged_bits)
        delta = carray(delta_at, (rows, columns), np.float32)
        tolerance = carray(tolerance_at, (rows, columns), np.float32)
        counts, sums = carray(counts_at, (2,), np.int64), carray(sums_at, (3,), np.float64)
        wrong, missing = carray(wrong_at, (rows,), np.int64), carray(missing_at, (rows,), np.int64)
        for i in range(rows):
            exact, same = count_row(base[i], merged[i], delta[i], delta_first != 0, sums)
            wrong[i], visible, missing[i] = 0, columns - same, 0
            if exact < columns:
                wrong[i], visible, missing[i] = count_wrong(
                    base[i], merged[i], delta[i], delta_first != 0, tolerance[i]
                )
            counts[0] += same
            counts[1] += visible
        return rows

    def merge(
        base_at: Any, merged_at: Any, left_at: Any, right_at: Any, rows: int, columns: int, rank: int,
        delta_first: int, left_sizes_at: Any, right_sizes_at: Any, most_wrong: int,
        panels_at: Any, group_at: Any, delta_at: Any, counts_at: Any, sums_at: Any, wrong_at: Any, missing_at: Any,
    ) -> int:  # fmt: skip
        base, merged = carray(base_at, (rows, columns), base_bits), carray(merged_at, (rows, columns), merged_bits)
        left, right = carray(left_at, (rows, rank), np.float32), carray(right_at, (rank, columns), np.float32)
        counts, sums = carray(counts_at, (2,), np.int64), carray(sums_at, (3,), np.float64)
        wrong, missing = carray(wrong_at, (rows,), np.int64), carray(missing_at, (rows,), np.int64)
        left_sizes = carray(left_sizes_at, (rows, rank), np.float32)
        num_panels = (columns + LANES - 1) // LANES
        width = num_panels * LANES
        # Taken one by one: numba forgets that the halves of an array are contiguous when they are unpacked.
        products = carray(delta_at, (2, ROWS, width), np.float32)
        both_panels = carray(panels_at, (2, num_panels, rank, LANES), np.float32)
        delta, tolerance, panels, size_panels = products[0], products[1], both_panels[0], both_panels[1]
        group = carray(group_at, (rank, ROWS), np.float32)
        pack(right, panels)
        if is_float32:
            pack(carray(right_sizes_at, (rank, columns), np.float32), size_panels)
        num_wrong = 0
        for start in range(0, rows, ROWS):
            multiply(left, start, panels, group, delta)
            has_tolerance = False
            for i in range(start, min(start + ROWS, rows)):
                row = i - start
                exact, same = count_row(base[i], merged[i], delta[row][:columns], delta_first != 0, sums)
                wrong[i], visible, missing[i] = 0, columns - same, 0
                if exact < columns:
                    if is_float32 and not has_tolerance:
                        multiply(left_sizes, start, size_panels, group, tolerance)
                        has_tolerance = True
                    wrong[i], visible, missing[i] = count_wrong(
                        base[i], merged[i], delta[row][:columns], delta_first != 0, tolerance[row]
                    )
                    num_wrong += wrong[i]
                counts[0] += same
                counts[1] += visible
            done = min(start + ROWS, rows)
            if num_wrong > most_wrong * done and done >= FEWEST:
                return done
        return rows

    return tally, merge


@compiled()
def _stored(value: float, masks: np.ndarray, limits: np.ndarray) -> float:
    """`value` as it is stored: through float32, in which sums are made. By bits: frexp would need numba's library."""
    single = np.float64(np.float32(value))
    if not math.isfinite(single):
        return single
    if abs(single) >= limits[2]:
        return math.copysign(math.inf, single)
    if abs(single) < limits[0]:
        return float(np.rint(single / limits[1]) * limits[1])
    u = _bits(single)
    return np.float64(_number((u + masks[0] + ((u >> masks[1]) & masks[2])) & masks[3]))


def _explain_of(base_bits: Any, merged_bits: Any) -> Callable[..., int]:
    """`loops.explain` as a function of addresses, for what is stored in so many bits."""
    base_shift, merged_shift = (np.uint32(16 if bits is np.uint16 else 0) for bits in (base_bits, merged_bits))

    @compiled()
    def explain_row(
        base: np.ndarray, merged: np.ndarray, delta: np.ndarray, delta_first: bool, masks: np.ndarray,
        numbers: np.ndarray, tolerance: np.ndarray, explained: np.ndarray, worst: np.ndarray, i: int,
    ) -> int:  # fmt: skip
        one, other = masks[0:4], masks[4:8]
        limits, other_limits, relative = numbers[0:3], numbers[3:6], numbers[6]
        num_wrong = 0
        for j in range(len(delta)):
            stored_base = np.uint32(np.uint32(base[j]) << base_shift)
            stored_merged = np.uint32(np.uint32(merged[j]) << merged_shift)
            w, m, d = np.float64(_number(stored_base)), np.float64(_number(stored_merged)), np.float64(delta[j])
            slack = np.float64(tolerance[j]) + relative * abs(d)
            if not math.isfinite(slack):
                slack = 0.0  # factors beyond all numbers leave no room, and not all of it
            low, high = d - slack, d + slack
            if delta_first:
                low, high = _stored(low, one, limits), _stored(high, one, limits)
            # The sum's own rounding to float32 is part of `_stored`.
            low = _stored(_stored(w + low, one, limits), other, other_limits)
            high = _stored(_stored(w + high, one, limits), other, other_limits)
            if not math.isfinite(m):
                explained[2] += 1
            if low <= m <= high or (math.isnan(m) and math.isnan(w)):
                continue
            num_wrong += 1
            if stored_base == stored_merged:
                explained[1] += 1
            if not math.isfinite(m):
                continue
            middle = _stored(_stored(w + d, one, limits), other, other_limits)
            if abs(m - middle) > worst[4]:
                worst[0] = i
                worst[1] = j
                worst[2] = middle
                worst[3] = m
                worst[4] = abs(m - middle)
        return num_wrong

    def explain(
        base_at: Any, merged_at: Any, delta_at: Any, rows: int, columns: int, delta_first: int, masks_at: Any,
        numbers_at: Any, tolerance_at: Any, explained_at: Any, wrong_at: Any, worst_at: Any,
    ) -> int:  # fmt: skip
        base, merged = carray(base_at, (rows, columns), base_bits), carray(merged_at, (rows, columns), merged_bits)
        delta = carray(delta_at, (rows, columns), np.float32)
        masks, numbers = carray(masks_at, (8,), np.uint32), carray(numbers_at, (7,), np.float64)
        tolerance = carray(tolerance_at, (rows, columns), np.float32)
        explained, worst = carray(explained_at, (3,), np.int64), carray(worst_at, (5,), np.float64)
        wrong = carray(wrong_at, (rows,), np.int64)
        for i in range(rows):
            wrong[i] = explain_row(
                base[i], merged[i], delta[i], delta_first != 0, masks, numbers, tolerance[i], explained, worst, i
            )
            explained[0] += wrong[i]
        return 0

    return explain


@compiled()
def _columns_by_expert(b: np.ndarray, num_experts: int, out: np.ndarray) -> None:
    """Gather lora_B (rows, R*E), expert fastest, into `out` (E, rows, R), some rows of some experts at a time.

    What is read of these stays in the nearest cache, and what is written to one expert is a stretch of memory.
    """
    rows, width = b.shape
    rank = width // num_experts
    for start in range(0, rows, 16):
        for first in range(0, num_experts, 16):
            for e in range(first, min(first + 16, num_experts)):
                for i in range(start, min(start + 16, rows)):
                    row, place = b[i], out[e, i]
                    for k in range(rank):
                        place[k] = row[k * num_experts + e]


def _columns_entry(b: Any, rows: int, width: int, num_experts: int, out: Any) -> int:
    """`_columns_by_expert` as a function of addresses."""
    by_expert = carray(out, (num_experts, rows, width // num_experts), np.float32)
    _columns_by_expert(carray(b, (rows, width), np.float32), num_experts, by_expert)
    return 0


_STORED = {"16": np.uint16, "32": np.uint32}
_MERGE = int64(*[voidptr] * 4, *[int64] * 4, voidptr, voidptr, int64, *[voidptr] * 7)
_TALLY = int64(*[voidptr] * 3, *[int64] * 3, *[voidptr] * 5)
_EXPLAIN = int64(*[voidptr] * 3, *[int64] * 3, *[voidptr] * 6)
_COLUMNS = int64(voidptr, *[int64] * 3, voidptr)


def loop(name: str) -> tuple[Any, Callable[..., int]]:
    """A loop by its name, with its signature: addresses and integers in, an integer out.

    `columns_by_expert`; `explain_16_32`: with the bits of base and merged; `merge_16_32_BF16` and `tally_…`: and the
    dtype that is rounded to.
    """
    kind, *stored = name.split("_")
    if kind == "columns":
        return _COLUMNS, _columns_entry
    base_bits, merged_bits = _STORED[stored[0]], _STORED[stored[1]]
    if kind == "explain":
        return _EXPLAIN, _explain_of(base_bits, merged_bits)
    tally, merge = _of(base_bits, merged_bits, ROUNDINGS[stored[2]])
    return (_TALLY, tally) if kind == "tally" else (_MERGE, merge)
