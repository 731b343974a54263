"""The factors of a pair as a site's low-rank delta, under any way to read them.

Owns what layouts and packings mean (`harness/checkpoints/packing.py` has the words): whether the factors of fused
experts are for the parameter as it lies in memory (`standard`) or for its transpose (`swapped`), and which columns of
lora_B are an expert's (`rank_major`: e::E; `grouped_by_expert`: e*R to (e+1)*R). Whatever is read wrongly somewhere is
again a pair of small matrices, which makes every hypothesis as cheap as the right one. Knows nothing of what a
checkpoint holds.

Shapes: E experts, R rank of one expert.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.blocks import Buffers, Files, read_flat
from harness.verify.dtypes import widen
from harness.verify.loops import columns_by_expert
from harness.verify.records import FactorPair
from harness.verify.targets import Target

FusedLayout = Literal["standard", "swapped"]
Packing = Literal["rank_major", "grouped_by_expert"]


class Reading(NamedTuple):
    """One way to read the factors of fused experts."""

    layout: FusedLayout = "standard"
    packing: Packing = "rank_major"
    """Of lora_B."""
    a_packing: Packing = "grouped_by_expert"
    """Of lora_A's rows, which PEFT packs expert by expert."""


class LowRank(NamedTuple):
    """A delta: scale * left @ right."""

    left: np.ndarray
    """(rows, R), float32."""
    right: np.ndarray
    """(R, columns), float32."""
    scale: float

    @property
    def T(self) -> LowRank:
        """Of the transpose."""
        return LowRank(np.ascontiguousarray(self.right.T), np.ascontiguousarray(self.left.T), self.scale)

    def times(self, factor: float) -> LowRank:
        """The same delta, scaled."""
        return self._replace(scale=self.scale * factor)

    @property
    def is_zero(self) -> bool:
        """Whether nothing comes of it; a factor that is not finite is not zero."""
        return self.scale == 0 or not self.left.any() or not self.right.any()

    @property
    def is_finite(self) -> bool:
        """Whether every number of the factors is."""
        is_scaled = abs(self.scale) <= float(np.finfo(np.float32).max)
        return bool(is_scaled and np.isfinite(self.left).all() and np.isfinite(self.right).all())


@dataclass(frozen=True)
class Factors:
    """One pair's factors for its target, read when they are first asked for, and forgotten when told to."""

    pair: FactorPair
    target: Target
    files: Files
    _held: dict[str, np.ndarray]
    _lock: threading.Lock

    @classmethod
    def of(cls, pair: FactorPair, target: Target, files: Files) -> Factors:
        """Nothing is read yet."""
        return cls(pair, target, files, {}, threading.Lock())

    @property
    def scale(self) -> float:
        """alpha over rank, or its root."""
        return self.pair.scaling

    @property
    def num_experts(self) -> int:
        """1 for what is not fused."""
        return self.target.num_experts or 1

    def delta(self, site: int, reading: Reading, *, rows: slice | None = None) -> LowRank:
        """The delta of the target's site with this number, (out, in); of other `rows` if that is said."""
        if self.target.num_experts is None:
            a, b = self.matrix("a"), self.matrix("b")
            left, right = (b, a) if self.target.orientation == "out_in" else (a.T, b.T)
            return LowRank(np.ascontiguousarray(left), np.ascontiguousarray(right), self.scale)
        expert, part = divmod(site, len(self.target.parts))
        rows = self.target.rows[part] if rows is None else rows
        b_OR = self.b_of(expert, reading.packing)
        a_RI = self.a_of(expert, reading.a_packing)
        return self._of_expert(a_RI, b_OR, reading.layout, rows)

    def delta_of_rank_one(self, site: int, layout: FusedLayout) -> LowRank:
        """The delta of a fused expert if its rank were 1: of as many rows of lora_A as experts its own."""
        expert, part = divmod(site, len(self.target.parts))
        one = slice(expert, expert + 1)
        return self._of_expert(self.matrix("a")[one], self.matrix("b")[:, one], layout, self.target.rows[part])

    def _of_expert(self, a_RI: np.ndarray, b_OR: np.ndarray, layout: FusedLayout, rows: slice) -> LowRank:
        # In memory (rows, columns): B @ A, or its transpose. Then (out, in), of which a part has some rows.
        is_plain = (layout == "standard") == (self.target.orientation == "out_in")
        left, right = (b_OR, a_RI) if is_plain else (a_RI.T, b_OR.T)
        return LowRank(np.ascontiguousarray(left[rows]), np.ascontiguousarray(right), self.scale)

    def a_of(self, expert: int, packing: Packing) -> np.ndarray:
        """(R, ·): an expert's rows of lora_A."""
        a = self.matrix("a")
        rank = a.shape[0] // self.num_experts
        return (
            a[expert * rank : (expert + 1) * rank] if packing == "grouped_by_expert" else a[expert :: self.num_experts]
        )

    def b_of(self, expert: int, packing: Packing) -> np.ndarray:
        """(·, R): an expert's columns of lora_B."""
        if packing == "rank_major":
            b_OR: np.ndarray = self._b_by_expert()[expert]
            return b_OR
        rank = self.pair.b.shape[1] // self.num_experts
        return self.matrix("b")[:, expert * rank : (expert + 1) * rank]

    def matrix(self, which: Literal["a", "b"]) -> np.ndarray:
        """lora_A or lora_B as the file has it, float32."""
        with self._lock:
            return self._matrix(which)

    def release(self) -> None:
        """Forget what was read."""
        with self._lock:
            self._held.clear()

    def _matrix(self, which: Literal["a", "b"]) -> np.ndarray:
        if which not in self._held:
            entry = self.pair.a if which == "a" else self.pair.b
            self._held[which] = read_values(self.files, entry)
        return self._held[which]

    def _b_by_expert(self) -> np.ndarray:
        """(E, ·, R)."""
        with self._lock:
            if "b_by_expert" not in self._held:
                b = self._matrix("b")
                self._held["b_by_expert"] = columns_by_expert(np.ascontiguousarray(b), self.num_experts)
                del self._held["b"]  # the same numbers again, which only other packings need
            return self._held["b_by_expert"]


def read_values(files: Files, entry: TensorEntry) -> np.ndarray:
    """All of a tensor as float32, in memory of its own. For what is small: factors, vectors."""
    num_elements = math.prod(entry.shape)
    bits = read_flat(files, entry, 0, num_elements, Buffers(), "")
    return widen(bits, entry.dtype).reshape(entry.shape)


def possible_layouts(pair: FactorPair, target: Target) -> tuple[FusedLayout, ...]:
    """The layouts that shapes leave: both, where an expert's matrix is square."""
    made = (pair.b.shape[0], pair.a.shape[1])
    shapes: dict[FusedLayout, tuple[int, int]] = {"standard": target.shape, "swapped": target.shape[::-1]}
    return tuple(layout for layout, shape in shapes.items() if made == shape)
