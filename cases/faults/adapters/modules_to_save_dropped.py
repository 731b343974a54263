"""A module that was trained whole is not in the saved adapter."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The head was trained whole, but never registered with PEFT's wrapper, and only factors were saved.",
    source="unslothai/unsloth pull request 3317 (modules_to_save: the head is not saved)",
    place="artifact",
    cases=("qwen3-float32-loop-modules_to_save", "qwen3-bfloat16-loop-modules_to_save"),
    names={"lora": "delta_missing", "verify": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """Neither the file nor the configuration knows of it."""

    def save(directory: Path) -> None:
        scene.edit_json(directory / "adapter_config.json", lambda config: config.update(modules_to_save=None))
        scene.remake_adapter(
            directory, lambda tensors: {name: stored for name, stored in tensors.items() if "lm_head" not in name}
        )

    scene.hits(*scene.tensors("head"))
    scene.adapter_saved(save)
