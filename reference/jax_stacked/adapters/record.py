"""An adapter in memory, whatever wrote it: the LoRA factors of each module, under transformers' own module paths.

Owns what an adapter is. Must not know files, dialects or PEFT.

The experts of a layer are one module of factors stacked over experts, either fused (`….experts.gate_up_proj` with one A
for both, rows of B gate then up) or a projection each (`….experts.gate_proj`, `….experts.up_proj`). With both goes
`….experts.down_proj`. An adapter holds for one layer either the first or the second.

Shapes: R LoRA rank, E experts, I a module's input features, O its output features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from harness.errors import UsageError

Kind = Literal["linear", "embedding", "experts"]

GATE_UP, GATE, UP, DOWN = "gate_up_proj", "gate_proj", "up_proj", "down_proj"
"""The last parts of the paths of experts."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """LoRA of one module: the delta of its weight is scaling · B @ A, transposed for an embedding's (V, D)."""

    A: np.ndarray
    """(R, I), for experts (E, R, I); float32. An embedding's I is the vocabulary."""
    B: np.ndarray
    """(O, R), for experts (E, O, R); float32."""
    alpha: float

    def __post_init__(self) -> None:
        fit = self.A.ndim == self.B.ndim and self.A.ndim in (2, 3)
        if not fit or self.A.shape[-2] != self.B.shape[-1] or self.A.shape[:-2] != self.B.shape[:-2]:
            raise UsageError(
                "A and B do not multiply",
                expected="A (R, I) and B (O, R), or A (E, R, I) and B (E, O, R)",
                got=f"A {self.A.shape} and B {self.B.shape}",
            )

    @property
    def rank(self) -> int:
        """R."""
        return int(self.A.shape[-2])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Adapter:
    """The factors of every adapted module, and how alpha scales them."""

    factors: Mapping[str, Factors]
    """By module path, such as `model.layers.0.self_attn.q_proj`."""
    rslora: bool = False
    """True scales by alpha / √R, False by alpha / R."""
    base_weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    """By module path, the base's own weight (V, D), where PEFT stored it beside an adapted embedding or head. It is no
    part of the delta, but PEFT loads it over the base's: whoever applies the adapter compares the two."""

    def scaling(self, path: str) -> float:
        """What multiplies B @ A of the module at `path`."""
        factors = self.factors[path]
        return factors.alpha / (math.sqrt(factors.rank) if self.rslora else factors.rank)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a module path of a model is, so that an adapter can be read and written for it."""

    kind: Kind
    in_features: int
    """I; an embedding's is the vocabulary."""
    out_features: int
    """O; an embedding's is the hidden size."""
    num_experts: int = 0
    """E; 0 for everything but experts."""
