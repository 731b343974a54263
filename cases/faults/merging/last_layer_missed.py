"""A merge ends one layer too early."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A checkpoint's layers were counted wrongly, and those past the count were not found (there, beyond 99); "
    "here it is the last one.",
    source="deepspeedai/DeepSpeed#3305",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """All that is adapted in the last layer is base's."""
    last = int(scene.config["num_hidden_layers"]) - 1
    names = [name for name in scene.adapted() if scene.table[name].layer == last]
    scene.hits(*names)
    scene.merged_saved(lambda directory: scene.restore(directory, names))
