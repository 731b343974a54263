"""The head is adapted, which nobody asked for."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A short name of a target means every module that ends in it, and a trainer's presets add the head.",
    source="measured: docs/facts.md (all-linear adapts the router too)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "coverage_extra"},
)


def strike(scene: Scene) -> None:
    """Beside everything that was."""

    def add(lora: Any, *_: Any, **__: Any) -> Any:
        lora.target_modules = {*lora.target_modules, "lm_head"}
        return lora

    scene.hits(*scene.tensors("head"))
    scene.after("reference.torch_peft.adapting:lora_config", add)
