"""What a merge holds, by float64 arithmetic of a few lines: which reading of the factors was added to which weight.

Shares the reading of files with the verifier, and nothing else. Tensors are named by the axes that they have: `E`
experts, `R` rank, `O` output, `I` input.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness.checkpoints.safetensors_file import read_header, read_tensor
from tests.verify.real_releases.models import ALPHA, NUM_EXPERTS, NUM_LAYERS, TinyModel

Tensors = dict[str, np.ndarray]
Readings = list[tuple[str, np.ndarray]]
"""What it would be called if this delta were added; "" if it is the one that PEFT's forward pass adds."""

TOLERANCES = {"float32": 1e-6, "bfloat16": 3e-2}
"""Of what was added, less a reading, to that reading, by their norms. What was added is within 2e-7 of the reading that
was used in float32, and 9e-3 in bfloat16, where sums were rounded; from every other it is 0.26 and more."""


def faults(folder: Path, merger: str, tiny: TinyModel, layout: str) -> dict[str, str]:
    """Each weight of the merge by `merger` that is not as it should be, and the kind of finding that says so.

    `layout` is that of the factors in the folder: PEFT 0.18's `swapped`, or `standard`.
    """
    base, adapter, merged = (_tensors(folder / name) for name in ("base", "adapter", merger))
    assert base.keys() == merged.keys()
    readings = _of_attention(adapter, tiny)
    if tiny.target_parameters:
        readings |= _of_experts(adapter, tiny, layout)
    assert readings.keys() < base.keys()
    found = {}
    for name, weight in base.items():
        added = merged[name] - weight
        if name in readings:
            kind = next((kind for kind, delta in readings[name] if _alike(added, delta, tiny)), "delta_wrong_values")
        else:
            kind = "passthrough_changed" if added.any() else ""
        if kind:
            found[name] = kind
    return found


def _of_attention(adapter: Tensors, tiny: TinyModel) -> dict[str, Readings]:
    found = {}
    for layer in range(NUM_LAYERS):
        for projection in "qkvo":
            path = f"model.layers.{layer}.self_attn.{projection}_proj"
            a_RI, b_OR = (adapter[f"base_model.model.{path}.lora_{factor}.weight"] for factor in "AB")
            delta_OI = ALPHA / tiny.rank * (b_OR @ a_RI)
            found[f"{path}.weight"] = [("", delta_OI), ("delta_missing", 0 * delta_OI)]
    return found


def _of_experts(adapter: Tensors, tiny: TinyModel, layout: str) -> dict[str, Readings]:
    hidden, inner = tiny.config["hidden_size"], tiny.config["moe_intermediate_size"]
    # PEFT wraps a module once for each parameter: gate_up's factors are the inner wrapper's, down's the outer one's.
    wrappers = (("base_layer.", ("gate", "up"), (2 * inner, hidden)), ("", ("down",), (hidden, inner)))
    found: dict[str, Readings] = {}
    for layer in range(NUM_LAYERS):
        path = f"model.layers.{layer}.mlp.experts"
        for wrapper, parts, shape in wrappers:
            a, b = (adapter[f"base_model.model.{path}.{wrapper}lora_{factor}.weight"] for factor in "AB")
            for kind, delta_EOI in _readings(a, b, shape, tiny, layout):
                for expert, delta_OI in enumerate(delta_EOI):
                    for part, delta in zip(parts, np.split(delta_OI, len(parts)), strict=True):
                        found.setdefault(f"{path}.{expert}.{part}_proj.weight", []).append((kind, delta))
    return found


def _readings(
    a: np.ndarray, b: np.ndarray, shape: tuple[int, int], tiny: TinyModel, layout: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Every delta `(E, *shape)` that the factors of an expert parameter can be read as, the right one first."""
    a_ERI = a.reshape(NUM_EXPERTS, tiny.rank, -1)
    rank_major_EOR = b.reshape(-1, tiny.rank, NUM_EXPERTS).transpose(2, 0, 1)
    grouped_EOR = b.reshape(-1, NUM_EXPERTS, tiny.rank).transpose(1, 0, 2)
    right, misread = (ALPHA / tiny.rank * (b_EOR @ a_ERI) for b_EOR in (rank_major_EOR, grouped_EOR))
    if layout == "swapped":
        right, misread = right.transpose(0, 2, 1), misread.transpose(0, 2, 1)
    assert shape == right.shape[1:]
    yield "", right
    yield "delta_missing", 0 * right
    yield "delta_wrong_packing", misread
    if shape[0] == shape[1]:
        yield "delta_wrong_layout", right.transpose(0, 2, 1)
        yield "delta_wrong_layout", misread.transpose(0, 2, 1)


def _alike(added: np.ndarray, delta: np.ndarray, tiny: TinyModel) -> bool:
    if not delta.any():
        return not added.any()
    return bool(np.linalg.norm(added - delta) <= TOLERANCES[tiny.dtype] * np.linalg.norm(delta))


def _tensors(directory: Path) -> Tensors:
    files = sorted(directory.glob("*.safetensors"))
    return {entry.name: read_tensor(entry).astype(np.float64) for path in files for entry in read_header(path)}
