"""transformers 5.5 reports its default for the share of a head that is rotated, where later versions write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="5.23 writes partial_rotary_factor inside rope_parameters alone. 5.5 computes with it, but its configuration "
    "says half of each head at the top level, and would save that for those who look there.",
    source="huggingface/transformers 5.23 -> 5.5, measured: docs/facts.md (glm4_moe and qwen3_5_moe)",
    place="artifact",
    cases=("glm4_moe-float32-loop", "glm4_moe-bfloat16-loop"),
    names={"merged": "config_changed"},
)


def strike(scene: Scene) -> None:
    """config.json is as 5.23 saves it."""

    def move(config: dict[str, Any]) -> None:
        config["rope_parameters"]["partial_rotary_factor"] = config.pop("partial_rotary_factor")

    def respell(directory: Path) -> None:
        scene.edit_json(directory / "config.json", move)

    scene.hits_field("partial_rotary_factor")
    scene.merged_saved(respell)
