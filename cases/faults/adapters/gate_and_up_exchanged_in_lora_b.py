"""The halves of the fused experts' lora_B, gate's and up's, are saved in the other order."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Two layouts of the same fused matrix differ in which half is gate and which is up; the factors were renamed "
    "for the other one and their rows left as they were, which fits and says nothing.",
    source="sgl-project/sglang pull request 34940 (lora_B halves of a fused gate and up)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "gate_up_swapped"},
)
GATE_UP = ".experts.base_layer.lora_B.weight"


def strike(scene: Scene) -> None:
    """In all layers, of all experts."""

    def exchange(name: str, values: np.ndarray) -> np.ndarray:
        return np.roll(values, len(values) // 2, axis=0) if name.endswith(GATE_UP) else values

    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory,
            lambda tensors: {name: (dtype, exchange(name, values)) for name, (dtype, values) in tensors.items()},
        )
    )
