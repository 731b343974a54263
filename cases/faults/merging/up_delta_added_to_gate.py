"""The delta of up is added to gate, and up is left as it is in base."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The place of a delta inside a fused gate_up was looked up after its key had been renamed, and was always "
    "the first half.",
    source="thinking-machines-lab/tinker-cookbook#457, #459: six models",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The first half of the fused delta is the sum of both, the second is zero."""

    def pile(module: Any, delta: Any) -> Any:
        import torch

        if getattr(module, "parameter_name", "") != "gate_up_proj":
            return delta
        half = delta.shape[1] // 2
        return torch.cat([delta[:, :half] + delta[:, half:], 0 * delta[:, half:]], dim=1)

    scene.hits(*scene.tensors("experts.up"))
    scene.merge_deltas(pile)
