"""A reload scales every module by the common alpha."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="alpha_pattern stayed empty on the way through another loader, and PEFT fell back to the one alpha.",
    source="huggingface/diffusers pull request 14409 (alpha_pattern stays empty, the global lora_alpha is taken)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop-patterns", "qwen3_moe-bfloat16-loop-patterns"),
    names={"lora": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """It is lost while the configuration is read."""
    patterned = scene.case.adapter.alpha_pattern

    def forget(config: Any, *_: Any, **__: Any) -> Any:
        config.alpha_pattern = {}
        return config

    scene.hits(*(name for name in scene.adapted() if any(f".{part}." in name for part in patterned)))
    scene.after("peft.config:PeftConfigMixin.from_pretrained", forget)
