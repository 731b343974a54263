"""The biases of one layer's attention are zero in the merge."""

from __future__ import annotations

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="Biases of combined projections were loaded in part, in silence; what is not copied holds what a new "
    "Linear starts with.",
    source="NVIDIA-NeMo/Automodel#1410",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """Each bias of a layer holds zeros."""
    names = scene.tensors("bias", layer=scene.layer_of("bias"))
    scene.hits(*names)
    scene.merged_saved(lambda directory: rewrite(directory, names, lambda _, values: values * 0))
