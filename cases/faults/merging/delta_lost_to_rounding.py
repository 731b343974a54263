"""What was trained is smaller than what bfloat16 can tell from base."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="After a few steps at a low rate the delta is a ten-thousandth of the weights: merged into bfloat16, most "
    "of it rounds away.",
    source="measured: bfloat16 keeps 13% of a delta of relative size 2e-4; OpenBMB/MiniCPM-V#502",
    place="stack",
    cases=("qwen3_moe-bfloat16-loop",),
    only="float32 tells such a delta from base: nothing of it is lost",
    names={"write": "no_signal", "lora": "no_signal", "merged": "no_signal", "verify": "lost_to_rounding"},
)

SHARE = 1e-4


def strike(scene: Scene) -> None:
    """Every lora_B is a ten-thousandth of what it was trained to, from the end of training on."""

    def shrink(returned: Any, *_: Any, **__: Any) -> Any:
        trained, losses = returned
        for name, parameter in trained.named_parameters():
            if "lora_B" in name:
                parameter.data *= SHARE
        return trained, losses

    scene.hits()
    scene.after("reference.torch_peft.training:train_loop", shrink)
