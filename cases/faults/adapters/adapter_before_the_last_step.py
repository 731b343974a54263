"""The adapter is saved before the optimizer's last step, and the model is merged after it."""

from __future__ import annotations

from cases.faults.adapters import adapter_of_an_earlier_step
from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A save hook ran between the last backward pass and the last step, so adapter and merge are one step apart.",
    source="axolotl-ai-cloud/axolotl pull request 1573 (what is saved is not what training ended with)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """One step."""
    adapter_of_an_earlier_step.saved_earlier(scene, 1)
