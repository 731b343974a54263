"""lora_A begins smaller, the more layers and experts there are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Factors were drawn for a whole stack at once by an initialiser that takes all axes but the last for "
    "inputs: their spread falls with the root of the number of layers, and for experts with that of the "
    "experts too.",
    source="NovaSky-AI/SkyRL tx: he_uniform on stacked shapes, measured: std of lora_A falls as 1/sqrt(layers)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "initialisation_wrong"},
)


def strike(scene: Scene) -> None:
    """Every factor A, as that initialiser would have drawn it."""
    num_layers = int(scene.config["num_hidden_layers"])

    def smaller(adapter: Any, *_: Any, **__: Any) -> Any:
        def fans(path: str) -> int:
            return num_layers * (scene.num_experts if ".experts." in path else 1)

        factors = {
            path: replace(held, A=(held.A / fans(path) ** 0.5).astype(held.A.dtype))
            for path, held in adapter.factors.items()
        }
        return replace(adapter, factors=factors)

    # Experts' factors are fused, and gate and up have theirs in common.
    fused = {r"\.experts\.\d+\.(gate|up)_proj\.weight$": ".experts.gate_up_proj"}
    fused[r"\.experts\.\d+\.down_proj\.weight$"] = ".experts.down_proj"
    names = set(scene.adapted())
    for pattern, held in fused.items():
        names = {re.sub(pattern, held, name) for name in names}
    scene.hits(*names)
    scene.after("reference.jax_stacked.writing:fresh_adapter", smaller)
