"""Attention is merged, and every expert is left as it is in base."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The helpers for fused experts did not know the layout of PEFT 0.19 and gave the base weight back; 0 of "
    "18432 expert deltas were merged, attention was.",
    source="unslothai/unsloth#5410, unslothai/unsloth-zoo#647 (seeds 003)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The delta of each fused parameter is zero in the merge."""
    scene.hits(*scene.tensors("experts."))
    scene.merge_deltas(lambda module, delta: delta * 0 if type(module).__name__ == "ParamWrapper" else delta)
