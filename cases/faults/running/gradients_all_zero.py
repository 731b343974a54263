"""No gradient comes to any adapter."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Every step was taken with gradients of zero, or skipped because they were not finite: the run ends "
    "without an error, saves an adapter that does nothing, and a round trip of nothing is perfect.",
    source="deepspeedai/DeepSpeedExamples #637 (gradient overflow, step skipped); bitsandbytes 0.50.2 on a processor",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "no_signal", "lora": "no_signal", "merged": "no_signal", "verify": "b_all_zero"},
)


def strike(scene: Scene) -> None:
    """All that is trained."""

    def cut(adapted: Any, *_: Any) -> Any:
        import torch

        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.register_hook(torch.zeros_like)
        return adapted

    scene.after("reference.torch_peft.training:adapt", cut)
