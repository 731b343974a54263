"""The dense MLPs of a model whose other layers have experts are left out of the merge."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="An extraction divides by the number of experts before it asks whether there are any: dense layers have "
    "none, and stay base's where the error is swallowed.",
    source="unslothai/unsloth-zoo#629, review: num_experts of 0 (seeds 004)",
    place="artifact",
    cases=("glm4_moe-float32-loop-naive", "glm4_moe-bfloat16-loop-naive"),
    row="r3",
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The dense MLPs are base's."""
    names = scene.tensors("mlp")
    scene.hits(*names)
    scene.merged_saved(lambda directory: scene.restore(directory, names))
