"""The delta is merged, and then merged once more."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Merging was not idempotent: a model that was merged by itself was merged again by merge_and_unload, and "
    "every delta is in it twice.",
    source="huggingface/peft#1355",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_applied_twice", "merged": "delta_applied_twice", "verify": "delta_applied_twice"},
)


def strike(scene: Scene) -> None:
    """Each adapter is merged, and forgets that it was."""

    def merge(trained: Any) -> None:
        for module in trained.modules():
            if hasattr(module, "lora_A"):
                module.merge()
                module.merged_adapters.clear()

    scene.hits(*scene.adapted())
    scene.before_merge(merge)
