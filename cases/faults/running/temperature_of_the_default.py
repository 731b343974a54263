"""The merge is saved with the default temperature."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The generation settings were made anew from config.json, which knows of no temperature: a reload samples "
    "from another distribution than the one the model was released with.",
    source="unslothai/unsloth-zoo: merged chat models reloaded with default stop tokens and sampling (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={
        "write": "generation_config_changed",
        "merged": "generation_config_changed",
        "verify": "generation_config_changed",
    },
)


def strike(scene: Scene) -> None:
    """The one number in generation_config.json."""

    def reset(directory: Path) -> None:
        scene.edit_json(directory / "generation_config.json", lambda content: content.update(temperature=1.0))

    scene.hits_field("generation_config.temperature")
    scene.merged_saved(reset)
