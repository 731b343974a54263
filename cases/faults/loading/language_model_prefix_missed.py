"""A reload does not know that the text model is stored under its name in the vision-language model."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Text models of Qwen3.5 are stored under `model.language_model.`, as in the vision-language model. A loader "
    "without the rule that takes the prefix off finds nothing but the head, and draws the rest at random.",
    source="vllm-project/vllm #50355 (raises there); microsoft/olive-recipes #380 (all weights random, in silence)",
    place="stack",
    form="merged",
    cases=("qwen3_5_moe-float32-loop", "qwen3_5_moe-bfloat16-loop"),
    names={"merged": "keys_missing"},
)


def strike(scene: Scene) -> None:
    """The renaming is not among the conversions; those of experts are."""

    def without_prefix(rules: Any, *_arguments: Any) -> Any:
        return rules and [rule for rule in rules if not any("language_model" in name for name in rule.source_patterns)]

    head = scene.tensors("head")
    plain = [name for name in scene.tensors() if scene.table[name].expert is None and name not in head]
    layers = {scene.table[name].layer for name in scene.tensors("experts.")}
    # The loader speaks of parameters as the model has them: a layer's experts are two.
    fused = [rule.name.replace("{layer}", str(layer)) for rule in scene.family.fused for layer in layers]
    scene.hits(*plain, *fused)
    scene.after("transformers.conversion_mapping:get_checkpoint_conversion_mapping", without_prefix)
