"""The halves of a fused gate_up are taken for turns when its delta is split."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Some families store gate and up row by row in turns, others as two halves: a merge must know which, for "
    "shapes agree either way.",
    source="thinking-machines-lab/tinker-cookbook#459: both layouts, by family",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_layout"},
)


def strike(scene: Scene) -> None:
    """Even rows of the fused delta go to gate, odd rows to up."""

    def sort(module: Any, delta: Any) -> Any:
        import torch

        if getattr(module, "parameter_name", "") != "gate_up_proj":
            return delta
        return torch.cat([delta[:, 0::2], delta[:, 1::2]], dim=1)

    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.merge_deltas(sort)
