"""One expert of one layer is left out when deltas are merged."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Experts' deltas were looked up by a name that one expert did not have, and it was saved as it is in base.",
    source="unslothai/unsloth-zoo: MoE LoRA merge (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """All three projections of an expert are base's."""
    scene.left_as_base(*scene.tensors("experts.", layer=scene.layer_of("experts."), expert=scene.expert()))
