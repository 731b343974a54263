"""What a base checkpoint is: its weights by site, its configuration, and how it keeps its experts.

A site is a weight by the name that the verifier gives it: (out, in), one an expert. Knows no adapters and no files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Part = Literal["gate", "up", "down"]
Weights = dict[str, np.ndarray]
"""By site."""
PROJECTIONS: Mapping[Part, str] = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}
W1_W3_W2: Mapping[Part, str] = {"gate": "w1", "up": "w3", "down": "w2"}
KEPT_FLOAT32 = "e_score_correction_bias"
"""Never stored in less, whatever the checkpoint's dtype."""
_NUMBERS = {key: re.compile(rf"\b{key}\.(\d+)\.") for key in ("layers", "experts")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Axes, none of which is another, nor twice the expert's."""

    hidden: int = 40
    queries: int = 48
    keys: int = 24
    inner: int = 28
    """Of one expert."""
    dense: int = 52
    shared: int = 36
    vocabulary: int = 76
    experts: int = 5
    layers: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Experts:
    """How a family keeps the experts of one layer."""

    num: int
    layers: tuple[int, ...]
    stored: str = "mlp.experts"
    """The block in published files, where there is one matrix an expert and part."""
    held: str = "mlp.experts"
    """The module of transformers 5 that has them fused."""
    names: Mapping[Part, str]
    turned: bool = False
    """Fused (E, in, out), gate and up taking turns on the outputs, in files too: gpt-oss."""

    def site(self, layer: int, expert: int, part: Part) -> str:
        """The name of one matrix."""
        return f"model.layers.{layer}.{self.stored}.{expert}.{self.names[part]}.weight"

    def module(self, layer: int) -> str:
        """The path of the module that has the fused parameters."""
        return f"model.layers.{layer}.{self.held}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """One base checkpoint."""

    name: str
    config: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    """By site, float32."""
    experts: Experts | None = None
    prefix: str = "model."
    """What stands in files where sites have `model.`."""


def layer_of(site: str) -> int | None:
    """The layer's number in a name."""
    found = _NUMBERS["layers"].search(site)
    return int(found[1]) if found else None


def expert_of(site: str) -> int | None:
    """The expert's number in a name."""
    found = _NUMBERS["experts"].search(site)
    return int(found[1]) if found else None
