"""One layer is left out of what is adapted."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="layers_to_transform is counted by hand or matched against a path that has another number in it, and a layer "
    "is left out without a warning.",
    source="huggingface/peft issue 1024 (layers_to_transform matches nothing, and says nothing)",
    place="stack",
    cases=("qwen3-float32-loop", "qwen3-bfloat16-loop"),
    names={"write": "coverage_lost"},
)


def strike(scene: Scene) -> None:
    """Any one of them."""
    layer = scene.layer_of("attention")

    def forget(lora: Any, *_: Any, **__: Any) -> Any:
        lora.layers_to_transform = [each for each in range(scene.config["num_hidden_layers"]) if each != layer]
        return lora

    scene.hits(*(name for name in scene.adapted() if scene.table[name].layer == layer))
    scene.after("reference.torch_peft.adapting:lora_config", forget)
