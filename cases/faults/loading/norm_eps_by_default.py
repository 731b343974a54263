"""One norm of each layer is built with its default epsilon, whatever the configuration says."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The constructor of a norm has an epsilon of its own, and one place of many did not pass it the "
    "configuration's. The configuration and all weights come back as they were.",
    source="NVIDIA-NeMo/Megatron-Bridge #5712 (post-attention norms at 1e-5); measured: docs/facts.md (DeepSeek's "
    "latents)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "logits_differ"},
)
DEFAULT = 1e-6


def strike(scene: Scene) -> None:
    """The norm behind attention, once a layer is built."""

    def build(nothing: None, layer: Any, *_: Any, **__: Any) -> None:
        layer.post_attention_layernorm.variance_epsilon = DEFAULT

    scene.after("transformers.models.qwen3_moe.modeling_qwen3_moe:Qwen3MoeDecoderLayer.__init__", build)
