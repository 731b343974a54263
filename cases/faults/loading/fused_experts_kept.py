"""The saver leaves the fused experts of a layer beside the same experts one by one."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.checkpoints.naming import canonical_names
from harness.checkpoints.safetensors_file import Writable
from harness.records.faults import Fault

FAULT = Fault(
    what="A state that has both the stacked parameters and the views of their parts is saved whole: the 3D tensors, "
    "which the merge did not reach, lie beside the merged experts, and readers take one or the other.",
    source="NovaSky-AI/SkyRL #1127: review of `unstack_state`, both kinds of paths kept (seeds 004)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "tensor_duplicated", "verify": "tensor_duplicated"},
)


def strike(scene: Scene) -> None:
    """One layer's fused parameters are there too, with base's values."""
    layer = scene.layer_of("experts.")
    fused = [rule.name.replace("{layer}", str(layer)) for rule in scene.family.fused]

    def keep(tensors: dict[str, Writable]) -> None:
        for name in fused:
            parts = canonical_names(scene.family, scene.config, name)
            stacked = np.stack([scene.base_tensor(part) for part in parts])
            experts = stacked.reshape(-1, scene.num_experts, *stacked.shape[1:])
            tensors[name] = (tensors[parts[0]][0], np.concatenate(list(experts), axis=1))

    scene.hits(*fused)
    scene.merged_saved(lambda directory: scene.edit_tensors(directory, keep))
