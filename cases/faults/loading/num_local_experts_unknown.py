"""transformers 4 does not know num_local_experts, and builds as many experts as it has by default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="transformers 5 writes the number of experts as num_local_experts alone. 4.57 looks for num_experts, takes "
    "its default of 128, and refuses the checkpoint for the shapes of its routers.",
    source="huggingface/transformers 5 -> 4.57, merged Qwen3-MoE; measured: docs/facts.md, cases/known.toml",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="r3",
    names={"merged": "crashed"},
    crashes=True,
)


def strike(scene: Scene) -> None:
    """config.json has the spelling of transformers 5, and none other."""

    def rename(config: dict[str, Any]) -> None:
        config["num_local_experts"] = config.pop("num_experts")

    def respell(directory: Path) -> None:
        scene.edit_json(directory / "config.json", rename)

    scene.merged_saved(respell)
