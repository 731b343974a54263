"""Batches are counted where steps were asked for, so fewer steps are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="With gradient accumulation the length of a run was counted in batches and not in optimiser steps: "
    "training ended after a part of the steps that were asked for, and said nothing.",
    source="microsoft/CodeXGLUE #32 (total steps under gradient accumulation); caikit/caikit-nlp #295",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "steps_lost"},
)


def strike(scene: Scene) -> None:
    """Two to five batches a step."""
    num_batches = scene.pick((2, 3, 4, 5))

    def wrapper(train: Any) -> Any:
        def fewer(model: Any, lora: Any, case: Any, *arguments: Any) -> Any:
            return train(model, lora, replace(case, steps=case.steps // num_batches), *arguments)

        return fewer

    scene.patch("reference.torch_peft.training:train_loop", wrapper)
