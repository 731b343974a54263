"""The adapter of a reload is there, and switched off."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The adapter was disabled to ask the base model something, an exception passed through, and nobody "
    "enabled it again: everything after it was computed by the base model.",
    source="huggingface/peft #367: disable_adapter() was not released on an exception",
    place="environment",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """As the context manager leaves it."""

    def disable(model: Any, *_: Any, **__: Any) -> Any:
        model.base_model.disable_adapter_layers()
        return model

    scene.hits(*scene.adapted())
    scene.after("peft:PeftModel.from_pretrained", disable)
