"""A reload scales modules of other ranks by the common rank."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Factors of mixed ranks load, each with its own shape, and alpha is divided by one rank for all of them.",
    source="huggingface/diffusers pull request 14409 (mixed ranks get an arbitrary scale)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop-patterns", "qwen3_moe-bfloat16-loop-patterns"),
    names={"lora": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """Only scaling forgets rank_pattern."""
    rank, patterned = scene.case.adapter.rank, scene.case.adapter.rank_pattern

    def rescale(model: Any, *_: Any, **__: Any) -> Any:
        for module in model.modules():
            if hasattr(module, "lora_A"):
                module.scaling = {name: module.lora_alpha[name] / rank for name in module.scaling}
        return model

    scene.hits(*(name for name in scene.adapted() if any(f".{part}." in name for part in patterned)))
    scene.after("peft.peft_model:PeftModel.from_pretrained", rescale)
