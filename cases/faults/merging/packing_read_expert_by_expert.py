"""lora_B, packed rank by rank, is merged as if it were packed expert by expert."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="PEFT gives expert e the columns e::E of lora_B; the merge took e*r to (e+1)*r, counted 24 of 24 experts "
    "as merged, and was worse than base.",
    source="unslothai/unsloth-zoo 2026.5.2 to 2026.9.5; measured: docs/facts.md, what merging stores",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_packing", "merged": "delta_wrong_packing", "verify": "delta_wrong_packing"},
)


def strike(scene: Scene) -> None:
    """The columns of each fused lora_B change places before the merge, which reads them as PEFT does."""

    def regroup(trained: Any) -> None:
        import torch

        for module in trained.modules():
            if type(module).__name__ == "ParamWrapper":
                for factor in module.lora_B.values():
                    b = factor.weight.detach()
                    b_OER = b.reshape(len(b), scene.num_experts, -1)
                    factor.weight = torch.nn.Parameter(b_OER.mT.reshape(b.shape).contiguous())

    scene.hits(*scene.tensors("experts."))
    scene.before_merge(regroup)
