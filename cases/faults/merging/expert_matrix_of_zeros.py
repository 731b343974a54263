"""One expert's matrix is zeros."""

from __future__ import annotations

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="After an interrupted download weights are whatever memory held, often zeros, and the model loads all the "
    "same.",
    source="sgl-project/sglang#32279",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """One tensor holds zeros."""
    name = scene.pick(scene.tensors("experts."))
    scene.hits(name)
    scene.merged_saved(lambda directory: rewrite(directory, [name], lambda _, values: values * 0))
