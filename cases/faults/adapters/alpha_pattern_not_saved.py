"""The saved configuration has no alpha_pattern."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="An exporter wrote the fields that it knew, r and lora_alpha, and each module was trained with an alpha of "
    "its own.",
    source="huggingface/diffusers pull request 14409 (adapters without their alphas)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-patterns", "qwen3_moe-bfloat16-loop-patterns"),
    names={"lora": "delta_wrong_scale", "verify": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """The file of factors is whole."""
    patterned = scene.case.adapter.alpha_pattern
    scene.hits(*(name for name in scene.adapted() if any(f".{part}." in name for part in patterned)))
    scene.adapter_saved(
        lambda directory: scene.edit_json(
            directory / "adapter_config.json", lambda config: config.update(alpha_pattern={})
        )
    )
