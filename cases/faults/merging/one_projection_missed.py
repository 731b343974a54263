"""One projection of one expert is left out when deltas are merged."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="One of an expert's three matrices was written as it is in base: samples stay equal, logits hardly move.",
    source="measured in r1: KL 0.03, samples 3 of 3; unslothai/unsloth-zoo#647 (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """One tensor is base's."""
    name = scene.pick(scene.tensors("experts."))
    scene.hits(name)
    scene.merged_saved(lambda directory: scene.restore(directory, [name]))
