"""One layer is left out when deltas are merged."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge that goes layer by layer leaves one out: the others carry most of the text, and it reads well.",
    source="measured in r1: one layer dropped is KL 0.31 to 0.35; unslothai/unsloth-zoo#647, base kept module by "
    "module (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """All that is adapted in a layer is base's."""
    layer = scene.layer_of("attention")
    names = [name for name in scene.adapted() if scene.table[name].layer == layer]
    scene.hits(*names)
    scene.merged_saved(lambda directory: scene.restore(directory, names))
