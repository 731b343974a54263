"""Training goes on with a fresh adapter on the merged model, and that adapter is taken for all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Half-way the adapter was merged and a new one begun. The new one is saved, and applied to a base that "
    "lacks what was learned before: half of the training is gone, and the merge holds more than the adapter "
    "says.",
    source="microsoft/LoRA #156: whether to merge before a new adapter is trained; huggingface/trl #250",
    place="stack",
    cases=("qwen3-float32-loop", "qwen3-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Half of the steps before, half after."""

    def wrapper(train: Any) -> Any:
        def twice(model: Any, lora: Any, case: Any, *arguments: Any) -> Any:
            half = replace(case, steps=case.steps // 2)
            first, losses = train(model, lora, half, *arguments)
            merged = first.merge_and_unload()
            second, more = train(merged, lora, replace(case, steps=case.steps - half.steps), *arguments)
            return second, [*losses, *more]

        return twice

    scene.hits(*scene.adapted())
    scene.patch("reference.torch_peft.training:train_loop", wrapper)
