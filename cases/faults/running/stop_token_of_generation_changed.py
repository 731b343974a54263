"""The merge's generation settings stop at another token."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The stop token of the base model took the place of the chat model's in generation_config.json: answers "
    "ran on past their end.",
    source="unslothai/unsloth#5410, unslothai/unsloth-zoo#647 (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={
        "write": "generation_config_changed",
        "merged": "generation_config_changed",
        "verify": "generation_config_changed",
    },
)


def strike(scene: Scene) -> None:
    """Any token but the right one."""
    stop = scene.config["eos_token_id"]
    other = scene.pick([token for token in range(scene.config["vocab_size"]) if token != stop])

    def change(directory: Path) -> None:
        scene.edit_json(directory / "generation_config.json", lambda content: content.update(eos_token_id=other))

    scene.hits_field("generation_config.eos_token_id")
    scene.merged_saved(change)
