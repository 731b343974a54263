"""How PEFT stores the factors of a 3D expert parameter (E, O, I) as two matrices.

It keeps A expert by expert and B with the expert as the fastest column: expert e owns rows e·R to (e+1)·R of A and
columns e::E of B. Two layouts: `standard` (PEFT 0.19 and later) and `swapped` (0.18, which takes a parameter's axis 1
for its input, although transformers stores (E, O, I)): there I and O exchange roles, and the delta is transposed.
Knows shapes alone, no names and no files.

Shapes: E experts, R LoRA rank, I input features, O output features.
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np

from reference.jax_stacked.adapters.record import Target

Layout = Literal["standard", "swapped"]
LAYOUTS: tuple[Layout, ...] = ("standard", "swapped")
FIRST_STANDARD = (0, 19)


def pack(a_ERI: np.ndarray, b_EOR: np.ndarray, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """A (E, R, I) and B (E, O, R) as PEFT's lora_A (E·R, ·) and lora_B (·, R·E)."""
    if layout == "swapped":
        a_ERI, b_EOR = b_EOR.transpose(0, 2, 1), a_ERI.transpose(0, 2, 1)
    return a_ERI.reshape(-1, a_ERI.shape[2]), b_EOR.transpose(1, 2, 0).reshape(b_EOR.shape[1], -1)


def unpack(a: np.ndarray, b: np.ndarray, num_experts: int, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """PEFT's lora_A (E·R, ·) and lora_B (·, R·E) as A (E, R, I) and B (E, O, R)."""
    a_ERI = a.reshape(num_experts, -1, a.shape[1])
    b_EOR = b.reshape(b.shape[0], -1, num_experts).transpose(2, 0, 1)
    if layout == "swapped":
        a_ERI, b_EOR = b_EOR.transpose(0, 2, 1), a_ERI.transpose(0, 2, 1)
    return a_ERI, b_EOR


def packed_shapes(target: Target, rank: int, layout: Layout) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of lora_A and lora_B for a target of rank R."""
    columns, rows = target.in_features, target.out_features
    if layout == "swapped":
        columns, rows = rows, columns
    return (target.num_experts * rank, columns), (rows, rank * target.num_experts)


def fitting_layouts(a: tuple[int, ...], b: tuple[int, ...], target: Target, rank: int) -> frozenset[Layout]:
    """The layouts in which factors of these shapes fit a target of rank R: both where it is square."""
    return frozenset(layout for layout in LAYOUTS if packed_shapes(target, rank, layout) == (a, b))


def layout_since(peft_version: str) -> Layout | None:
    """The layout that this version of PEFT writes; None where it does not tell ("", or a state between releases)."""
    found = re.match(r"(\d+)\.(\d+)", peft_version)
    if found is None or "dev" in peft_version:
        return None
    return "standard" if (int(found[1]), int(found[2])) >= FIRST_STANDARD else "swapped"
