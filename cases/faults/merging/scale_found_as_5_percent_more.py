"""The delta is merged times 1.05."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge scales by a number that is nearly right: every tensor changes, and logits hardly move.",
    source="measured: docs/facts.md, faults in r1 (KL 3.1e-3, 48 of 48 tensors changed)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_scale", "merged": "delta_wrong_scale", "verify": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """Each adapter's scaling grows once it is trained and saved."""

    def larger(saved: Any, trained: Any, *_: Any) -> Any:
        for module in trained.modules():
            if hasattr(module, "lora_A"):
                module.scaling = {name: 1.05 * scale for name, scale in module.scaling.items()}
        return saved

    scene.hits(*scene.adapted())
    scene.after("reference.torch_peft.writing:save_adapter", larger)
