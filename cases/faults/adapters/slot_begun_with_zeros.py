"""A slot is cleared and used again without drawing lora_A: nothing can be learnt in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Clearing a slot sets both factors to zero, and taking it into use drew neither: then neither has a gradient, "
    "and the adapter that is saved is the base model.",
    source="NovaSky-AI/SkyRL: pull request 852 (lora_A not reinitialized after clearing an adapter)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "no_signal", "lora": "no_signal", "merged": "no_signal", "verify": "b_all_zero"},
)


def strike(scene: Scene) -> None:
    """Of every module."""

    def empty(adapter: Any, *_: Any, **__: Any) -> Any:
        factors = {path: replace(each, A=0 * each.A) for path, each in adapter.factors.items()}
        return replace(adapter, factors=factors)

    scene.after("reference.jax_stacked.writing:fresh_adapter", empty)
