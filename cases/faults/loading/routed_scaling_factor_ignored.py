"""A reload does not scale what the routed experts add, because it does not normalise their weights either."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Scaling by routed_scaling_factor stood within the branch for norm_topk_prob, so that models without the "
    "latter went without the former.",
    source="sgl-project/sglang-jax #1282; like it NPU routing in sgl-project/sglang #31449",
    place="stack",
    form="merged",
    cases=("glm4_moe-float32-loop", "glm4_moe-bfloat16-loop"),
    names={"merged": "logits_differ"},
)


def strike(scene: Scene) -> None:
    """The configuration keeps it; sparse layers that do not normalise have none."""

    def build(nothing: None, block: Any, *_: Any, **__: Any) -> None:
        if not block.norm_topk_prob:
            block.routed_scaling_factor = 1.0

    scene.after("transformers.models.glm4_moe.modeling_glm4_moe:Glm4MoeMoE.__init__", build)
