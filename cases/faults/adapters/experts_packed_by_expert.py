"""lora_B of fused experts is saved expert by expert, where PEFT reads it rank by rank."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Unsloth's own forward held lora_B of all experts one expert after the other, and saved it so without a word; "
    "PEFT takes every E-th column for one expert's.",
    source="unslothai/unsloth-zoo until 2026.9.5, measured: docs/facts.md (adapters trained on patched models)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_packing", "verify": "delta_wrong_packing"},
)


def strike(scene: Scene) -> None:
    """In all layers."""

    def regroup(name: str, values: np.ndarray) -> np.ndarray:
        if ".experts." not in name or not name.endswith(".lora_B.weight"):
            return values
        return values.reshape(len(values), -1, scene.num_experts).swapaxes(1, 2).reshape(values.shape)

    scene.hits(*scene.tensors("experts."))
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory,
            lambda tensors: {name: (dtype, regroup(name, values)) for name, (dtype, values) in tensors.items()},
        )
    )
