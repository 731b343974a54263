"""Square fused experts are saved in the layout of PEFT 0.18, under the version of 0.19."""

from __future__ import annotations

from collections.abc import Mapping

from cases.injecting import Scene, Stored
from harness.records.faults import Fault

FAULT = Fault(
    what="PEFT 0.19 exchanged in and out features of fused experts. Where both are equal, an adapter of 0.18 loads in "
    "0.19 without a word and adds another delta.",
    source="NVIDIA-NeMo/Automodel issue 3592; measured: docs/facts.md",
    place="artifact",
    cases=("qwen3_moe-float32-loop-square_gate_up", "qwen3_moe-bfloat16-loop-square_gate_up"),
    names={"lora": "delta_wrong_layout", "verify": "delta_wrong_layout"},
)


A, B = ".lora_A.weight", ".lora_B.weight"


def strike(scene: Scene) -> None:
    """In all layers."""
    num_experts = scene.num_experts

    def swap(tensors: dict[str, Stored]) -> Mapping[str, Stored]:
        made = dict(tensors)
        for name, (dtype, a) in tensors.items():
            if ".experts." in name and name.endswith(A):
                b = tensors[name.replace(A, B)][1]
                a_ERI = a.reshape(num_experts, -1, a.shape[1])
                b_ORE = b.reshape(len(b), -1, num_experts)
                made[name] = (dtype, b_ORE.transpose(2, 1, 0).reshape(-1, len(b)))
                made[name.replace(A, B)] = (dtype, a_ERI.transpose(2, 1, 0).reshape(a.shape[1], -1))
        return made

    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.adapter_saved(lambda directory: scene.remake_adapter(directory, swap))
