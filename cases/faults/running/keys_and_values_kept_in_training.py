"""The forward pass of training returns the keys and values of every layer."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Training called the same forward pass as generation and got every layer's keys and values with the "
    "logits: nothing decodes from them, and they stay in memory until the step is over.",
    source="NovaSky-AI/SkyRL: stacked decoder layers drop them under is_training (seeds 001)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "cache_kept"},
)


def strike(scene: Scene) -> None:
    """The layers are not told that it is training."""

    def deaf(call: Any) -> Any:
        def without(*arguments: Any, is_training: bool = False, **options: Any) -> Any:
            del is_training
            return call(*arguments, is_training=False, **options)

        return without

    scene.compiled_anew()
    scene.patch("reference.jax_stacked.stacked:StackedDecoderLayers.__call__", deaf)
