"""Labels are shifted by the caller and by the model: the next but one token is learned."""

from __future__ import annotations

import functools
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Labels came shifted to a model that shifts them itself. The loss falls as ever; what is learned is to "
    "leave out every other token.",
    source="huggingface/transformers #47394, #46898, #32944",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "loss_wrong"},
)


def strike(scene: Scene) -> None:
    """The model is handed the labels of one position further on."""

    def wrapper(forward: Any) -> Any:
        @functools.wraps(forward)
        def shifted(*arguments: Any, labels: Any = None, **options: Any) -> Any:
            import torch

            if labels is not None:
                labels = torch.nn.functional.pad(labels, (0, 1), value=-100)[:, 1:]
            return forward(*arguments, labels=labels, **options)

        return shifted

    scene.patch("transformers.models.qwen3_moe.modeling_qwen3_moe:Qwen3MoeForCausalLM.forward", wrapper)
