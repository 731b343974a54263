"""A reload does not apply alpha: B @ A is added as it is."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A converter took the factors alone and left alpha behind, so the update was added unscaled.",
    source="NVIDIA/TensorRT-LLM issue 1477 (hf_lora_convert.py does not account for lora_alpha)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """alpha is read as if it were the rank."""

    def forget(config: Any, *_: Any, **__: Any) -> Any:
        config.lora_alpha = config.r
        return config

    scene.hits(*scene.adapted())
    scene.after("peft.config:PeftConfigMixin.from_pretrained", forget)
