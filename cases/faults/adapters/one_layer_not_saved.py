"""The factors of one layer are not in the saved adapter."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="With pipeline parallelism only one stage's factors were gathered before saving; the configuration still "
    "means all layers, and a reader leaves the others as in base.",
    source="NVIDIA-NeMo/Automodel pull request 3096 (the saved adapter only contains the layers of one pipeline stage)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_missing", "verify": "adapter_incomplete"},
)


def strike(scene: Scene) -> None:
    """Any one of them."""
    layer = scene.layer_of("attention")
    scene.hits(*(name for name in scene.adapted() if scene.table[name].layer == layer))
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory,
            lambda tensors: {name: stored for name, stored in tensors.items() if f".layers.{layer}." not in name},
        )
    )
