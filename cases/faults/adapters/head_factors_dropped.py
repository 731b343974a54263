"""The head was adapted, and its factors are not in the saved adapter."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A tool left the head's factors out of the file while the configuration still targets it; PEFT warns of "
    "missing keys, and the head stays base's.",
    source="arcee-ai/mergekit issue 521 (missing adapter keys lm_head.lora_A and lora_B)",
    place="artifact",
    cases=("qwen3-float32-loop-head", "qwen3-bfloat16-loop-head"),
    names={"lora": "delta_missing", "verify": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """Both factors, and the base weight that PEFT saves beside them."""
    scene.hits(*scene.tensors("head"))
    scene.adapter_saved(
        lambda directory: scene.remake_adapter(
            directory, lambda tensors: {name: stored for name, stored in tensors.items() if "lm_head" not in name}
        )
    )
