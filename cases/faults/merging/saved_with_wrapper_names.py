"""The model is saved while adapters are still around its Linears, under the wrappers' names."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The inner model was saved without having been merged: its keys read q_proj.base_layer.weight, a reload "
    "finds none of them and fills them at random.",
    source="huggingface/peft#2647, huggingface/peft#2945",
    place="stack",
    cases=("qwen3-float32-loop", "qwen3-bfloat16-loop"),
    names={"write": "tensor_missing", "merged": "keys_missing", "verify": "tensor_missing"},
)


def strike(scene: Scene) -> None:
    """The merge is the trained model as it stands."""

    def leave(trained: Any) -> None:
        trained.merge_and_unload = trained.get_base_model

    adapted = scene.adapted()
    biases = {name.removesuffix("weight") + "bias" for name in adapted} & set(scene.table)
    scene.hits(*adapted, *biases)
    scene.before_merge(leave)
