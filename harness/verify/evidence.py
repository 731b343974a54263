"""What is compared, and what was counted of it: a weight's place in both checkpoints, and the evidence for a delta.

Records; reads nothing and judges nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from harness.verify.places import Place, Site


class Pairing(NamedTuple):
    """A weight's place in base and in merged; both hold the same number of elements."""

    site: Site
    base: Place
    merged: Place

    @property
    def flipped(self) -> bool:
        """Whether its transpose is walked, because base stores that."""
        return self.base.transposed

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns as they are walked; a vector is one row."""
        rows, columns = self.base.shape if len(self.base.shape) == 2 else (1, self.num_elements)
        return (columns, rows) if self.flipped else (rows, columns)

    @property
    def num_elements(self) -> int:
        """Of the weight."""
        return math.prod(self.base.shape)


class Worst(NamedTuple):
    """The element that is farthest off, in the site's own orientation."""

    row: int
    column: int
    expected: float
    got: float


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What was counted of one weight under one delta."""

    num_elements: int
    num_compared: int = 0
    """Fewer, where it was seen early enough that this delta is not it."""
    num_inexact: int = 0
    """Not the very bits that are predicted, in float32 beyond what another product's roundings give."""
    num_wrong: int = 0
    """Of these what no roundings of a product explain."""
    num_wrong_and_base: int = 0
    """Wrong, and what base has."""
    num_non_finite: int = 0
    """Not finite, wrong or not."""
    num_same: int = 0
    """What base has, wrong or not."""
    num_visible: int = 0
    """Predicted to be other than base."""
    delta_squared: float = 0.0
    delta_times_change: float = 0.0
    change_squared: float = 0.0
    worst: Worst | None = None
    wrong_lines: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    """Rows (as walked) with wrong elements, in order."""

    def note_lines(self, start: int, num_wrong: np.ndarray) -> None:
        """Of the rows from `start` on."""
        lines = (np.flatnonzero(num_wrong) + start).astype(np.int32)
        self.wrong_lines = np.concatenate([self.wrong_lines, lines])

    @property
    def is_whole(self) -> bool:
        """Whether all of it was compared."""
        return self.num_compared == self.num_elements

    @property
    def explains(self) -> bool:
        """Whether all of it is as predicted."""
        return self.is_whole and self.num_wrong == 0

    @property
    def recovered(self) -> float | None:
        """The change's projection onto the delta, over the delta; None where that is zero, or not all is finite."""
        if not self.delta_squared > 0 or not np.isfinite(self.delta_times_change):
            return None
        return self.delta_times_change / self.delta_squared

    @property
    def residual(self) -> float | None:
        """Norm of the change less the delta, over the delta's."""
        if self.recovered is None or not np.isfinite(self.change_squared):
            return None
        left = self.change_squared - 2 * self.delta_times_change + self.delta_squared
        return float(np.sqrt(max(left, 0.0) / self.delta_squared))
