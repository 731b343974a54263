"""Experts are asked for, and nothing adapts them: target_parameters is lost."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Transformers 5 holds experts as 3D parameters, which target_modules cannot mean; where target_parameters is "
    "not passed on, none of them is trained, and a round trip agrees with itself.",
    source="measured: docs/facts.md (all-linear and lists of targets by version)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "coverage_lost"},
)


def strike(scene: Scene) -> None:
    """All experts of all layers."""

    def forget(lora: Any, *_: Any, **__: Any) -> Any:
        lora.target_parameters = None
        return lora

    scene.hits(*scene.tensors("experts."))
    scene.after("reference.torch_peft.adapting:lora_config", forget)
