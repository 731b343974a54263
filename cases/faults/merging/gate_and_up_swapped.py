"""The deltas of gate and up are merged into each other."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The two halves of a fused gate_up were taken in the other order when deltas were split among an expert's "
    "matrices.",
    source="measured: gate exchanged with up is KL 0.71 in r1; docs/facts.md, unsloth_zoo 2026.5.1 and 2026.5.2 with "
    "2I == H",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "gate_up_swapped"},
)


def strike(scene: Scene) -> None:
    """The rows of the fused delta are turned by half."""

    def turn(module: Any, delta: Any) -> Any:
        is_fused = getattr(module, "parameter_name", "") == "gate_up_proj"
        return delta.roll(delta.shape[1] // 2, dims=1) if is_fused else delta

    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.merge_deltas(turn)
