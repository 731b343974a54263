"""Attention drops out in evaluation as in training."""

from __future__ import annotations

import functools
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="scaled_dot_product_attention applies its dropout_p whatever the mode of the module that calls it, and it "
    "was given the one of training in evaluation too: each pass computes something else.",
    source="pytorch/pytorch #124464; huggingface/pytorch-image-models #1978; meta-pytorch/torchtune #1791",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "evaluation_random"},
)


def strike(scene: Scene) -> None:
    """A tenth of it."""

    def wrapper(attend: Any) -> Any:
        @functools.wraps(attend)
        def dropping(*arguments: Any, **options: Any) -> Any:
            return attend(*arguments, **{**options, "dropout_p": 0.1})

        return dropping

    scene.patch("torch.nn.functional:scaled_dot_product_attention", wrapper)
