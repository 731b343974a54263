"""The factors are saved in float16."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="An adapter was cast to half precision to save space, or because the loader before it did: its last bits are "
    "gone from the file, and the merge has them.",
    source="huggingface/peft issues 701 and 1090 (adapters in float16)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """All of them."""
    scene.hits(*scene.adapted())
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory, lambda tensors: {name: ("F16", values) for name, (_, values) in tensors.items()}
        )
    )
