"""A reload scales an rsLoRA adapter by alpha / r."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The reader computed the scaling from alpha and rank alone and never looked at use_rslora, so the update came "
    "out the root of the rank too weak.",
    source="sgl-project/sglang issue 40835; NVIDIA/TensorRT-LLM issue 1668; vllm-project/vllm pull request 6909",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop-rslora", "qwen3_moe-bfloat16-loop-rslora"),
    names={"lora": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """The flag is lost while the configuration is read."""

    def forget(config: Any, *_: Any, **__: Any) -> Any:
        config.use_rslora = False
        return config

    scene.hits(*scene.adapted())
    scene.after("peft.config:PeftConfigMixin.from_pretrained", forget)
