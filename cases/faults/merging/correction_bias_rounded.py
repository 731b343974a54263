"""The float32 bias that corrects the choice of experts is saved as bfloat16."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="transformers 4.57 loads DeepSeek's e_score_correction_bias in the dtype of the model, and saves it so.",
    source="measured: docs/facts.md (4.57 rounds it and saves it so)",
    place="stack",
    cases=("deepseek_v3-bfloat16-loop",),
    only="a model in float32 keeps it as it is",
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "dtype_changed"},
)


def strike(scene: Scene) -> None:
    """The buffers are cast before the merge is saved."""

    def cast(trained: Any) -> None:
        import torch

        for name, buffer in trained.named_buffers():
            if name.endswith("e_score_correction_bias"):
                buffer.data = buffer.data.to(torch.bfloat16)

    scene.hits(*scene.tensors("router_bias"))
    scene.before_merge(cast)
