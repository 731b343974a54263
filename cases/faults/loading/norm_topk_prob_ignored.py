"""A reload does not make the weights of the chosen experts sum to one."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A router without the normalisation that the configuration asks for: all keys convert, and every sparse "
    "layer's output is too small.",
    source="pytorch/torchtitan #1448: lack of norm_topk_prob, found by high gradients after a conversion",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "logits_differ"},
)


def strike(scene: Scene) -> None:
    """The configuration keeps it; the router does not look at it."""

    def build(nothing: None, router: Any, *_: Any, **__: Any) -> None:
        router.norm_topk_prob = False

    scene.after("transformers.models.qwen3_moe.modeling_qwen3_moe:Qwen3MoeTopKRouter.__init__", build)
