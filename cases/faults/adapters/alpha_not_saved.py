"""The saved configuration has no lora_alpha, and every reader takes its default."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="adapter_config.json was written by hand without lora_alpha: PEFT takes 8 without a word, whatever was "
    "trained.",
    source="invergent-ai/surogate issue 173 (missing lora_alpha accepted in silence; there it was taken for 0)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"lora": "delta_wrong_scale", "verify": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """9 was trained."""
    scene.hits(*scene.adapted())
    scene.adapter_saved(
        lambda directory: scene.edit_json(directory / "adapter_config.json", lambda config: config.pop("lora_alpha"))
    )
