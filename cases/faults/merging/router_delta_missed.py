"""The router is adapted, and its delta is left out of the merge."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="all-linear adapts the router of a transformers 4 model as any Linear; a merge that handles MoE blocks by "
    "themselves passes routers through.",
    source="measured: docs/facts.md (all-linear on a MoE in 4.57 adapts the router too)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-all_linear", "qwen3_moe-bfloat16-loop-all_linear"),
    row="r3",
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The routers are base's."""
    names = scene.tensors("router")
    scene.hits(*names)
    scene.merged_saved(lambda directory: scene.restore(directory, names))
