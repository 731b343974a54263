"""A merge takes the rank of fused experts to be 1, and gives each expert one row of factors."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The record of a LoRA had no field `rank`, and the fallback for it was 1: expert e was merged from row e "
    "of lora_A and column e of lora_B alone.",
    source="unslothai/unsloth-zoo#647, review of the fallback for num_experts (seeds 003)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Each expert's delta is the product of one row and one column, which are another expert's."""

    def narrow(module: Any, delta: Any) -> Any:
        if type(module).__name__ != "ParamWrapper":
            return delta
        [name] = module.active_adapters
        a_ED, b_OE = (factors[name].weight.detach() for factors in (module.lora_A, module.lora_B))
        first_EOD = b_OE.T[: len(delta), :, None] * a_ED[: len(delta), None, :]
        return (first_EOD * module.scaling[name]).to(delta.dtype)

    scene.hits(*scene.tensors("experts."))
    scene.merge_deltas(narrow)
