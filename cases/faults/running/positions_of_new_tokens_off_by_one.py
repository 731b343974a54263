"""Every token that is generated has the position after its own."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Positions of prompt and continuation were counted in two places, one of them from one: the prompt was "
    "computed as in training, and each new token as if one had been skipped before it.",
    source="microsoft/onnxruntime-genai #2354; Physical-Intelligence/openpi #705",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "decoding_differs"},
)


def strike(scene: Scene) -> None:
    """Inputs of a step of one token have a position one too large."""

    def later(inputs: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        if inputs["input_ids"].shape[1] == 1:
            inputs["position_ids"] = inputs["position_ids"] + 1
        return inputs

    scene.after("transformers.generation.utils:GenerationMixin.prepare_inputs_for_generation", later)
