"""Factors of experts are saved without what PEFT puts before and behind their names."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Names of experts were built apart from all others, without `base_model.model.` and `.weight`; PEFT finds "
    "none of them and says nothing, so the experts stay base's.",
    source="NovaSky-AI/SkyRL: exported adapter read by stock PEFT, measured (KL 1.51); vllm-project/vllm issue 34186 "
    "(other prefixes)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="r3",
    names={"lora": "delta_missing", "verify": "adapter_key_unmatched"},
)


PREFIX, SUFFIX = "base_model.model.", ".weight"


def strike(scene: Scene) -> None:
    """All experts; attention keeps its names."""
    scene.hits(*scene.tensors("experts."))
    scene.rename_factors(lambda name: name.removeprefix(PREFIX).removesuffix(SUFFIX) if ".experts." in name else name)
