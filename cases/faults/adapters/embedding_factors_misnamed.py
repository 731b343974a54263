"""Factors of an embedding are saved under the names of a Linear's."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The embedding's factors were written as lora_A.weight and lora_B.weight; PEFT calls them lora_embedding_A "
    "and lora_embedding_B, finds none, and loads the rest.",
    source="NovaSky-AI/SkyRL: exported adapter read by stock PEFT, measured (embedding LoRA under the wrong names)",
    place="artifact",
    cases=("qwen3-float32-loop-embedding", "qwen3-bfloat16-loop-embedding"),
    names={"lora": "delta_missing", "verify": "adapter_key_unmatched"},
)


def strike(scene: Scene) -> None:
    """Values and shapes are as they should be."""
    scene.hits(*scene.tensors("embedding"))
    scene.rename_factors(
        lambda name: name.replace("lora_embedding_A", "lora_A.weight").replace("lora_embedding_B", "lora_B.weight")
    )
