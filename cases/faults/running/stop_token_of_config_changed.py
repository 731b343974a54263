"""The merge's config.json names another stop token."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A script that adds a padding token wrote its number as eos_token_id too: whoever reads stop tokens from "
    "config.json never stops where the model means to.",
    source="unslothai/unsloth#5410: chat models ran past their end after a reload (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "config_changed", "merged": "config_changed", "verify": "config_mismatch"},
)


def strike(scene: Scene) -> None:
    """It is the padding token's."""

    def change(directory: Path) -> None:
        pad = scene.config["pad_token_id"]
        scene.edit_json(directory / "config.json", lambda content: content.update(eos_token_id=pad))

    scene.hits_field("eos_token_id")
    scene.merged_saved(change)
