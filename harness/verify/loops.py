"""The face of the compiled loops: arrays in, counts out.

A tile is some rows of base and merged as they are stored (bfloat16 as uint16, float32 as uint32). Owns the shapes and
dtypes of what is passed; what is done with it is in `kernels.py`. Arrays are C-contiguous.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.verify.blocks import Buffers
from harness.verify.lanes import LANES, ROWS
from harness.verify.native import address, entry
from harness.verify.roundings import ROUNDINGS

_SIZES = ((16, 16), (16, 32), (32, 16), (32, 32))
NAMES = (
    "columns_by_expert",
    *(f"explain_{base}_{merged}" for base, merged in _SIZES),
    *(
        f"{kind}_{base}_{merged}_{dtype}"
        for kind in ("tally", "merge")
        for base, merged in _SIZES
        for dtype in (("BF16",) if merged == 16 else ROUNDINGS)
    ),
)
"""All that may ever be compiled: with the bits of base and merged, and the dtype that is rounded to."""


class Tile(NamedTuple):
    """Some rows of base and merged, as bits: of bfloat16 if they are uint16, else of float32."""

    start: int
    """The first of the rows in the whole weight."""
    base: np.ndarray
    merged: np.ndarray

    @property
    def sizes(self) -> str:
        """Of the stored numbers, as the loops' names have them."""
        return f"{8 * self.base.itemsize}_{8 * self.merged.itemsize}"

    def some(self, rows: np.ndarray) -> Tile:
        """These rows alone; `start` is as it was."""
        return self._replace(base=self.base[rows], merged=self.merged[rows])


class Product(NamedTuple):
    """Factors of a delta, and what its error is made of."""

    left: np.ndarray
    """(rows, R), with the scale."""
    right: np.ndarray
    """(R, columns)."""
    left_sizes: np.ndarray
    """|left|; empty where the very bits count."""
    right_sizes: np.ndarray
    """|right| times how far two products of the same factors may lie from each other; likewise."""

    def of(self, rows: slice) -> Product:
        """For these rows of the weight."""
        return self._replace(left=self.left[rows], left_sizes=self.left_sizes[rows])


NOTHING = np.zeros((0, 0), np.float32)
"""A tolerance, for dtypes in which the very bits count."""


class Counters:
    """What is counted and summed over the tiles of a weight."""

    def __init__(self) -> None:
        self.tallied = np.zeros(2, np.int64)
        self.sums = np.zeros(3, np.float64)
        self.addresses = tuple(address(each) for each in (self.tallied, self.sums))

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


class Lines(NamedTuple):
    """Of each row of a tile, how many elements are not as predicted, and how many are base's although they should not
    be."""

    wrong: np.ndarray
    missing: np.ndarray


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


def merge(
    tile: Tile,
    product: Product,
    delta_first: bool,
    dtype: str,
    most_wrong: int,
    buffers: Buffers,
    counters: Counters,
    lines: Lines,
) -> int:
    """Count and sum over a tile, into `counters` and `lines`; gives how many of its rows were looked at.

    Predicted is base + delta rounded to `dtype`, the delta itself before it if `delta_first`. In float32 an element may
    be off by its tolerance and by a rounding of the sum. Summed are delta², delta * change and change², with change =
    merged - base. It ends where more than `most_wrong` elements a row are wrong.
    """
    rows, columns = tile.base.shape
    rank = len(product.right)
    num_panels = -(-columns // LANES)
    panels = buffers.array("panels", (2, num_panels, rank, LANES), np.float32)
    group = buffers.array("group", (rank, ROWS), np.float32)
    delta = buffers.array("delta", (2, ROWS, num_panels * LANES), np.float32)
    return entry(f"merge_{tile.sizes}_{dtype}")(
        address(tile.base), address(tile.merged), address(product.left), address(product.right),
        rows, columns, rank, delta_first,
        address(product.left_sizes), address(product.right_sizes), most_wrong,
        address(panels), address(group), address(delta),
        *counters.addresses, address(lines.wrong), address(lines.missing),
    )  # fmt: skip


def tally(
    tile: Tile,
    delta: np.ndarray,
    delta_first: bool,
    dtype: str,
    tolerance: np.ndarray,
    counters: Counters,
    lines: Lines,
) -> int:
    """`merge` with a delta that was computed otherwise, and its tolerance (rows, columns)."""
    rows, columns = delta.shape
    return entry(f"tally_{tile.sizes}_{dtype}")(
        address(tile.base), address(tile.merged), address(delta), rows, columns, delta_first, address(tolerance),
        *counters.addresses, address(lines.wrong), address(lines.missing),
    )  # fmt: skip


def explain(
    tile: Tile,
    delta: np.ndarray,
    delta_first: bool,
    dtype: str,
    stored_dtype: str,
    tolerance: np.ndarray,
    relative: float,
    num_wrong: np.ndarray,
) -> Explained:
    """Element by element, allowing the delta to be another product's of the same factors.

    A delta is known to its tolerance (and `relative` of itself), so a merged value is right if it lies between what the
    two ends round to, first to `dtype`, then to `stored_dtype`. `num_wrong` (rows,) gets what is left of each row.
    """
    rows, columns = delta.shape
    rounding, storing = ROUNDINGS[dtype], ROUNDINGS[stored_dtype]
    masks = np.array([*rounding[:4], *storing[:4]], np.uint32)
    numbers = np.array([*rounding[4:], *storing[4:], relative], np.float64)
    counts, worst = np.zeros(3, np.int64), np.zeros(5, np.float64)
    entry(f"explain_{tile.sizes}")(
        address(tile.base), address(tile.merged), address(delta), rows, columns, delta_first, address(masks),
        address(numbers), address(tolerance), address(counts), address(num_wrong), address(worst),
    )  # fmt: skip
    num_left, num_base, num_non_finite = (int(count) for count in counts)
    return Explained(
        num_left, num_base, num_non_finite, int(worst[0]), int(worst[1]), *(float(each) for each in worst[2:])
    )


def columns_by_expert(b: np.ndarray, num_experts: int) -> np.ndarray:
    """lora_B (rows, R*E), expert fastest, as (E, rows, R), both float32."""
    rows, width = b.shape
    out = np.empty((num_experts, rows, width // num_experts), np.float32)
    entry("columns_by_expert")(address(b), rows, width, num_experts, address(out))
    return out
