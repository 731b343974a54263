"""The saver writes the stacked parameters too, beside the layers that they were unstacked into."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import Writable
from harness.records.faults import Fault

FAULT = Fault(
    what="What is stacked was told by a text among the entries of a path, which were no texts: nothing was, and the "
    "state had every stacked parameter once more beside the views of its layers.",
    source="NovaSky-AI/SkyRL #1127: review of `unstack_state` (seeds 004)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "tensor_unexpected", "verify": "tensor_unexpected"},
)
STACKED = "model.layers._stacked.self_attn.{}.weight"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def strike(scene: Scene) -> None:
    """Attention's projections are there a second time, with a leading axis for the layers."""

    def keep(tensors: dict[str, Writable]) -> None:
        for projection in PROJECTIONS:
            layers = [tensors[name] for name in scene.tensors("attention") if name.endswith(f".{projection}.weight")]
            values = np.stack([np.asarray(each) for _, each in layers])
            tensors[STACKED.format(projection)] = (layers[0][0], values)

    scene.hits(*map(STACKED.format, PROJECTIONS))
    scene.merged_saved(lambda directory: scene.edit_tensors(directory, keep))
