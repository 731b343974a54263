"""Small hand-made checkpoints of names and shapes, and pairs of factors, for the tests of places and targets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.families import FamilyRules, load_rules
from harness.verify.places import Layout, Place, lay_out
from harness.verify.records import FactorPair

E, H, F, R = 4, 6, 5, 2
"""Experts, hidden, expert hidden and rank: no two axes of a layer are equal, and 2 F is none of the others."""

Shapes = Mapping[str, tuple[int, ...]]


def rules(model_type: str) -> FamilyRules:
    """The row of a family that has one."""
    return load_rules()[model_type]


def entry(name: str, shape: tuple[int, ...]) -> TensorEntry:
    """A tensor that is in no file."""
    return TensorEntry(name, "F32", shape, Path("model.safetensors"), 0, 0)


def layout(family: FamilyRules, shapes: Shapes) -> Layout:
    """The layout of a checkpoint with these tensors."""
    return lay_out(family, {name: entry(name, shape) for name, shape in shapes.items()})


def pair(
    module: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    depth: int = 0,
    kind: Literal["linear", "embedding"] = "linear",
) -> FactorPair:
    """Factors of `module` with these shapes."""
    return FactorPair(
        module=module, depth=depth, kind=kind, a=entry("A", a), b=entry("B", b), rank=R, alpha=1.0, scaling=0.5
    )


def value(place: Place, stored: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a place holds of the tensors in `stored`, as (out, in)."""
    array = stored[place.entry.name]
    if place.expert is not None:
        array = array[place.expert]
    return (array.T if place.transposed else array)[place.rows]
