"""The two ways to hold a layer's gate and up experts, turned into each other without a change of any delta.

Knows adapters in memory alone. Shapes: R LoRA rank, E experts, H hidden size (I in), F a projection's rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.errors import UsageError
from reference.jax_stacked.adapters.record import GATE, GATE_UP, UP, Adapter, Factors


def per_projection(adapter: Adapter) -> Adapter:
    """`adapter` with each fused gate_up as gate and up, exactly: both with its A, each with its half of B's rows."""
    check_one_form(adapter)
    factors: dict[str, Factors] = {}
    for path, held in adapter.factors.items():
        layer, _, projection = path.rpartition(".")
        if projection == GATE_UP and held.A.ndim == 3:
            gate_EFR, up_EFR = np.split(held.B, 2, axis=1)
            factors[f"{layer}.{GATE}"] = replace(held, B=gate_EFR)
            factors[f"{layer}.{UP}"] = replace(held, B=up_EFR)
        else:
            factors[path] = held
    return replace(adapter, factors=factors)


def fused(adapter: Adapter) -> Adapter:
    """`adapter` with gate and up experts as one gate_up: the same deltas, up to a rounding where their scalings differ.

    Where both have the same A it stays as it is. Otherwise the ranks add up: A holds gate's rows, then up's, and B is
    block-diagonal, as PEFT does it too when it loads an adapter of transformers 4 on transformers 5. A projection that
    is not adapted gets zeros.
    """
    check_one_form(adapter)
    factors = {path: held for path, held in adapter.factors.items() if not _is_part(path, held)}
    for layer in dict.fromkeys(_layers_of_parts(adapter)):
        factors[f"{layer}.{GATE_UP}"] = _fuse(adapter, layer)
    return replace(adapter, factors=factors)


def check_one_form(adapter: Adapter) -> None:
    """Raises UsageError for a layer that is held both fused and by projection: which delta would count?"""
    for layer in _layers_of_parts(adapter):
        if f"{layer}.{GATE_UP}" in adapter.factors:
            raise UsageError(
                "adapter holds gate and up of a layer twice",
                where=layer,
                expected=f"either {GATE_UP}, or {GATE} and {UP}",
                got=", ".join(name for name in (GATE_UP, GATE, UP) if f"{layer}.{name}" in adapter.factors),
            )


def _is_part(path: str, held: Factors) -> bool:
    return held.A.ndim == 3 and path.rpartition(".")[2] in (GATE, UP)


def _layers_of_parts(adapter: Adapter) -> Iterator[str]:
    return (path.rpartition(".")[0] for path, held in adapter.factors.items() if _is_part(path, held))


def _fuse(adapter: Adapter, layer: str) -> Factors:
    gate_path, up_path = f"{layer}.{GATE}", f"{layer}.{UP}"
    present = next(path for path in (gate_path, up_path) if path in adapter.factors)
    model = adapter.factors[present]
    absent = replace(model, B=np.zeros_like(model.B))
    gate, up = adapter.factors.get(gate_path, absent), adapter.factors.get(up_path, absent)
    if gate.A.shape[::2] != up.A.shape[::2] or gate.B.shape[1] != up.B.shape[1]:
        raise UsageError("gate and up experts do not fit together", where=layer, got=f"{gate.A.shape}, {up.A.shape}")
    scaling = adapter.scaling(present)
    up_EFR = up.B
    if up_path in adapter.factors and adapter.scaling(up_path) != scaling:
        # One fused module has one alpha, so what up is scaled by beyond gate goes into its B.
        up_EFR = up.B * np.float32(adapter.scaling(up_path) / scaling)
    if np.array_equal(gate.A, up.A):
        return replace(model, A=gate.A, B=np.concatenate([gate.B, up_EFR], axis=1))
    gate_EFR = np.pad(gate.B, ((0, 0), (0, 0), (0, up.rank)))
    up_EFR = np.pad(up_EFR, ((0, 0), (0, 0), (gate.rank, 0)))
    growth = (gate.rank + up.rank) / model.rank
    return Factors(
        A=np.concatenate([gate.A, up.A], axis=1),
        B=np.concatenate([gate_EFR, up_EFR], axis=1),
        alpha=model.alpha * (math.sqrt(growth) if adapter.rslora else growth),
    )
