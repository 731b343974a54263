"""How LoRA factors of fused expert parameters may be laid out, and which way a wrong delta was read.

PEFT stores the factors of a 3D parameter `(E, rows, columns)` as two matrices. Two things differ between versions and
tools, and the files do not say which was meant:
- layout: `standard` (PEFT 0.19 and later: A is (E·r, columns), B is (rows, r·E)) or `swapped` (0.18: A is (E·r, rows),
  B is (columns, r·E));
- packing of B's columns: `rank_major` (PEFT's: expert e owns columns e::E) or `grouped_by_expert` (e·r to (e+1)·r).
Names a cause; judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.checkpoints.naming import canonical_names
from harness.checkpoints.safetensors_file import TensorEntry, read_header, read_tensor
from harness.records.cases import Family

LAYOUTS = ("standard", "swapped")
PACKINGS = ("rank_major", "grouped_by_expert")
SAME = 0.99
"""Cosine above which two deltas count as the same one: scale is another question, and bfloat16 blurs a little."""

_FACTOR = re.compile(r"\.layers\.(\d+)\..*experts(?:\.base_layer)*\.lora_(A|B)\.weight$")


class Reading(NamedTuple):
    """One way to read a pair of factors."""

    layout: str
    packing: str


def delta(a: np.ndarray, b: np.ndarray, num_experts: int, reading: Reading) -> np.ndarray:
    """The delta `(E, rows, columns)` of factors A `(E·r, ·)` and B `(·, r·E)` under one reading, without any scale."""
    a_ERI = a.reshape(num_experts, -1, a.shape[1])
    rank = a_ERI.shape[1]
    if reading.packing == "rank_major":
        b_EOR = b.reshape(b.shape[0], rank, num_experts).transpose(2, 0, 1)
    else:
        b_EOR = b.reshape(b.shape[0], num_experts, rank).transpose(1, 0, 2)
    product_EOI: np.ndarray = b_EOR @ a_ERI
    return product_EOI if reading.layout == "standard" else product_EOI.transpose(0, 2, 1)


def readings_that_give(a: np.ndarray, b: np.ndarray, wanted: np.ndarray) -> tuple[Reading, ...]:
    """Every reading of A and B whose delta points where `wanted` `(E, rows, columns)` does; several where r is 1."""
    num_experts = wanted.shape[0]
    if a.shape[0] % num_experts or b.shape[1] != a.shape[0]:
        return ()
    found = []
    for reading in map(Reading._make, product(LAYOUTS, PACKINGS)):
        candidate = delta(a, b, num_experts, reading)
        if candidate.shape == wanted.shape and _cosine(candidate, wanted) > SAME:
            found.append(reading)
    return tuple(found)


def name_misreading(a: np.ndarray, b: np.ndarray, true: np.ndarray, got: np.ndarray) -> str:
    """`delta_wrong_layout` or `delta_wrong_packing` if `got` is these factors read another way than `true`; else ""."""
    meant, used = readings_that_give(a, b, true), readings_that_give(a, b, got)
    if not meant or not used or set(meant) & set(used):
        return ""
    return "delta_wrong_layout" if meant[0].layout != used[0].layout else "delta_wrong_packing"


def is_transposed(true: np.ndarray, got: np.ndarray) -> bool:
    """Whether `got` is the transpose of `true` and not `true`: of a square matrix, whose shape does not tell.

    lora_A and lora_B exchanged, each transposed, compute that, and so does a loader that transposes.
    """
    is_square = true.ndim == 2 and true.shape == got.shape == got.T.shape
    return is_square and _cosine(true.T, got) > SAME >= _cosine(true, got)


def misread_tensors(
    adapter: Path,
    family: Family,
    config: Mapping[str, Any],
    wrong: frozenset[str],
    true: Callable[[str], np.ndarray],
    got: Callable[[str], np.ndarray],
) -> dict[str, str]:
    """Canonical name to kind, for those of the `wrong` tensors that are a misreading of the factors in `adapter`.

    `true` and `got` give a canonical tensor's delta. Raises ArtifactError where the adapter cannot be read.
    """
    named = {name: "delta_wrong_layout" for name in wrong if is_transposed(true(name), got(name))}
    for layer, pairs in _factor_pairs(adapter).items():
        for rule in family.fused:
            names = canonical_names(family, config, rule.name.replace("{layer}", layer))
            if not wrong & set(names):
                continue
            # canonical_names lists part by part, each over all experts; in memory the parts' rows are joined.
            true_EOI, got_EOI = (_joined(names, len(rule.parts), side) for side in (true, got))
            for a, b in pairs:
                kind = name_misreading(read_tensor(a), read_tensor(b), true_EOI, got_EOI)
                if kind:
                    named |= {name: kind for name in names if name in wrong}
    return named


def _joined(names: tuple[str, ...], num_parts: int, values: Callable[[str], np.ndarray]) -> np.ndarray:
    num_experts = len(names) // num_parts
    stacked = np.stack([values(name) for name in names])  # every part over all experts, one part after the other
    parts = stacked.reshape(num_parts, num_experts, *stacked.shape[1:])
    return np.concatenate(list(parts), axis=1)


def _factor_pairs(adapter: Path) -> dict[str, list[tuple[TensorEntry, TensorEntry]]]:
    """Layer to the (A, B) pairs of its fused expert parameters."""
    path = adapter / "adapter_model.safetensors"
    if not path.is_file():
        return {}
    entries = {entry.name: entry for entry in read_header(path)}
    pairs: dict[str, list[tuple[TensorEntry, TensorEntry]]] = {}
    for name, entry in entries.items():
        match = _FACTOR.search(name)
        partner = entries.get(name.replace(".lora_A.", ".lora_B."))
        if match and match[2] == "A" and partner is not None:
            pairs.setdefault(match[1], []).append((entry, partner))
    return pairs


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / norm if norm > 0 else 0.0
