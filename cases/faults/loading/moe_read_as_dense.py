"""A reload finds no number of experts where it looks, and builds dense layers."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The number of experts did not reach the place where layers are built, and the default there means none: "
    "dense layers are built, which the checkpoint does not have, and every expert is left over.",
    source="deepspeedai/Megatron-DeepSpeed #142; the name that is lost is num_experts, as in docs/facts.md (5 to 4.57)",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "config_changed"},
)


def strike(scene: Scene) -> None:
    """config.json is read without it, and none is none."""

    def forget(config: Any) -> None:
        config.num_experts = 0

    scene.hits_field("num_experts")
    scene.config_read(forget)
