"""A reload builds attention without biases, and drops those that are stored."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="attention_bias is among the fields of a configuration that the model's code does not look at: its "
    "projections have no bias, and the checkpoint's are left over.",
    source="NovaSky-AI/SkyRL 0.1.0 to 0.4.0, measured: config features that its JAX models silently ignore",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "keys_unexpected"},
)
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj")


def strike(scene: Scene) -> None:
    """The configuration keeps it; attention loses its biases once it is built."""

    def build(nothing: None, attention: Any, *_: Any, **__: Any) -> None:
        for projection in PROJECTIONS:
            getattr(attention, projection).register_parameter("bias", None)

    scene.hits(*scene.tensors("bias"))
    scene.after("transformers.models.qwen3_moe.modeling_qwen3_moe:Qwen3MoeAttention.__init__", build)
