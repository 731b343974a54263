"""The face of the compiled loops: arrays in, counts out, and what rounding to a stored dtype is.

A tile is a few rows that stay in cache: the base and merged values as they are stored (bfloat16 as uint16, float32 as
uint32), and the delta that was just computed, float32. Owns the shapes and dtypes of what is passed; what is done with
it is in `kernels.py`. Arrays are C-contiguous.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.verify.native import address, entry

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
ROUNDOFF = {"F32": UNIT_ROUNDOFF, "F16": 2.0**-11, "BF16": 2.0**-8}
"""Half the distance of neighbours, relative, by dtype as safetensors spells it."""


class Rounding(NamedTuple):
    """Rounding a float32 number to a stored dtype (nearest, ties to even) by its bits: add, then mask.

    float16's subnormals, which have fewer bits than the formula leaves, are for `explain`.
    """

    half: int
    shift: int
    one: int
    mask: int
    subnormal: float
    """Below it numbers have a distance of their own; 0 where the formula is right for them too."""
    distance: float
    largest: float
    """From here on it is infinity."""


def _rounding(dropped_bits: int, subnormal: float, distance: float, largest: float) -> Rounding:
    mask = (0xFFFFFFFF >> dropped_bits) << dropped_bits
    half = (1 << (dropped_bits - 1)) - 1 if dropped_bits else 0
    return Rounding(half, dropped_bits, 1 if dropped_bits else 0, mask, subnormal, distance, largest)


ROUNDINGS = {
    "F32": _rounding(0, 0.0, 1.0, 2.0**128),
    "BF16": _rounding(16, 0.0, 1.0, (2.0 - 2.0**-8) * 2.0**127),
    "F16": _rounding(13, 2.0**-14, 2.0**-24, 65520.0),
}


class Tile(NamedTuple):
    """Some rows of base and merged, as bits, and how far to shift these left to have float32's."""

    start: int
    """The first of the rows in the whole weight."""
    base: np.ndarray
    base_shift: int
    merged: np.ndarray
    merged_shift: int

    @property
    def sizes(self) -> str:
        """Of the stored numbers, as the loops' names have them."""
        return f"{8 * self.base.itemsize}_{8 * self.merged.itemsize}"


NO_TOLERANCE = np.zeros((0, 0), np.float32)
"""For dtypes in which the very bits count."""


class Counters:
    """What is counted and summed over the tiles of a weight, and rows of numbers to work in."""

    def __init__(self, columns: int) -> None:
        self.scratch = np.empty((4, columns), np.uint32)
        self.tallied = np.zeros(3, np.int64)
        self.sums = np.zeros(3, np.float64)
        self.explained = np.zeros(3, np.int64)
        self.worst = np.zeros(5, np.float64)
        self.addresses = tuple(address(each) for each in (self.scratch, self.tallied, self.sums))

    def clear(self) -> None:
        """Begin with another weight."""
        self.tallied[:] = 0
        self.sums[:] = 0

    @property
    def num_same(self) -> int:
        """Elements that are base's."""
        return int(self.tallied[0])

    @property
    def num_visible(self) -> int:
        """Elements whose prediction is not base's."""
        return int(self.tallied[1])

    @property
    def num_missing(self) -> int:
        """Elements that are base's although their prediction is not."""
        return int(self.tallied[2])


class Explained(NamedTuple):
    """What is left of a tile's wrong elements when roundings are allowed for."""

    num_wrong: int
    num_base: int
    """Of these, base's."""
    num_non_finite: int
    """Not finite, wrong or not."""
    row: int
    """In the tile: of the element that is farthest off, if there is a wrong one that is finite."""
    column: int
    expected: float
    got: float
    distance: float


def tally(
    tile: Tile,
    delta: np.ndarray,
    delta_first: bool,
    rounding: Rounding,
    tolerance: np.ndarray,
    counters: Counters,
    wrong_rows: np.ndarray,
) -> int:
    """Count and sum over a tile, into `counters`; gives the number of elements that are not as predicted.

    Predicted is base + delta rounded to the merged dtype, the delta itself before it if `delta_first`. In float32 an
    element may be off by its tolerance (rows, columns) and by a rounding of the sum. Summed are delta², delta * change
    and change², with change = merged - base. `wrong_rows` gets the wrong elements of each row.
    """
    rows, columns = delta.shape
    scratch, tallied, sums = counters.addresses
    return entry("tally_" + tile.sizes)(
        address(tile.base), tile.base_shift, address(tile.merged), tile.merged_shift, address(delta), rows, columns,
        delta_first, rounding.half, rounding.shift, rounding.one, rounding.mask,
        address(tolerance), scratch, tallied, sums, address(wrong_rows),
    )  # fmt: skip


def explain(
    tile: Tile,
    delta: np.ndarray,
    delta_first: bool,
    rounding: Rounding,
    storing: Rounding,
    tolerance: np.ndarray,
    relative: float,
    counters: Counters,
    wrong_rows: np.ndarray,
) -> Explained:
    """What `tally` says of a tile, element by element, allowing the delta to be another product's of the same factors.

    A delta is known to its tolerance (and `relative` of itself), so a merged value is right if it lies between what the
    two ends round to, first by `rounding`, then by `storing`. Only rows that `wrong_rows` counts elements in are looked
    at; it gets what is left of them.
    """
    rows, columns = delta.shape
    masks = np.array([*rounding[:4], *storing[:4]], np.uint32)
    numbers = np.array([*rounding[4:], *storing[4:], relative], np.float64)
    explained, worst = counters.explained, counters.worst
    explained[:] = 0
    worst[:] = 0
    entry("explain_" + tile.sizes)(
        address(tile.base), tile.base_shift, address(tile.merged), tile.merged_shift, address(delta), rows, columns,
        delta_first, address(masks), address(numbers), address(tolerance),
        counters.addresses[0], address(explained), address(wrong_rows), address(worst),
    )  # fmt: skip
    num_wrong, num_base, num_non_finite = (int(count) for count in explained)
    return Explained(
        num_wrong, num_base, num_non_finite, int(worst[0]), int(worst[1]), *(float(each) for each in worst[2:])
    )


def columns_by_expert(b: np.ndarray, num_experts: int) -> np.ndarray:
    """lora_B (rows, R*E), expert fastest, as (E, rows, R), both float32."""
    rows, width = b.shape
    out = np.empty((num_experts, rows, width // num_experts), np.float32)
    entry("columns_by_expert")(address(b), rows, width, num_experts, address(out))
    return out
