"""The saved configuration has no rank_pattern: its factors have other shapes than it says."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Ranks differ by module, and the configuration that was saved says one for all of them.",
    source="huggingface/peft issue 1746 (rank_pattern and a shape mismatch on loading)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-patterns", "qwen3_moe-bfloat16-loop-patterns"),
    names={"lora": "crashed", "verify": "refused"},
    crashes=True,
)


def strike(scene: Scene) -> None:
    """The file of factors is whole."""
    scene.adapter_saved(
        lambda directory: scene.edit_json(
            directory / "adapter_config.json", lambda config: config.update(rank_pattern={})
        )
    )
