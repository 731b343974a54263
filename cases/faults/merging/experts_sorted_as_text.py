"""Deltas are given to experts in the order of their numbers as text: 0, 1, 10, 11, 2."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The number of an expert was a string, so that sorting put 10 before 2: with more than ten experts each "
    "but the first two gets another's.",
    source="pytorch/torchtitan#1918",
    place="stack",
    cases=("qwen3_moe-float32-loop-many_experts", "qwen3_moe-bfloat16-loop-many_experts"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "experts_permuted"},
)


def strike(scene: Scene) -> None:
    """The deltas of fused parameters in the order of text."""
    order = sorted(range(scene.num_experts), key=str)

    def sort(module: Any, delta: Any) -> Any:
        return delta[order] if type(module).__name__ == "ParamWrapper" else delta

    moved = [expert for place, expert in enumerate(order) if place != expert]
    scene.hits(*(name for name in scene.tensors("experts.") if scene.table[name].expert in moved))
    scene.merge_deltas(sort)
