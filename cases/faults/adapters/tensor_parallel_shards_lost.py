"""Of the factors that tensor parallelism splits, only the first shard is saved."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A filter for saving the adapter alone left out all shards but one rank's, and the others came back as zeros: "
    "half of the outputs of each split module have no delta.",
    source="NVIDIA-NeMo/Megatron-Bridge issue 2240 (dense LoRA adapters lose TP shards)",
    place="artifact",
    cases=("qwen3-float32-loop", "qwen3-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)
SPLIT = (".q_proj.", ".k_proj.", ".v_proj.", ".gate_proj.", ".up_proj.")
"""By their outputs, so that lora_B is split and lora_A is whole."""


def strike(scene: Scene) -> None:
    """The second of two ranks, in all layers."""

    def cut(name: str, values: np.ndarray) -> np.ndarray:
        if not name.endswith(".lora_B.weight") or not any(part in name for part in SPLIT):
            return values
        is_kept = np.arange(len(values)) < len(values) // 2
        return values * is_kept[:, None]

    scene.hits(*(name for name in scene.adapted() if any(part in name for part in SPLIT)))
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory, lambda tensors: {name: (dtype, cut(name, values)) for name, (dtype, values) in tensors.items()}
        )
    )
