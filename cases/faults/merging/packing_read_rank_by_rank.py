"""lora_B, saved expert by expert and marked so, is read and merged rank by rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cases.injecting import Scene, rewrite
from harness.checkpoints.safetensors_file import read_header
from harness.records.faults import Fault

FAULT = Fault(
    what="Adapters trained on models that Unsloth patched were packed expert by expert; PEFT, and merges that go by "
    "PEFT, read them rank by rank.",
    source="unslothai/unsloth-zoo before 2026.9.6, and lora_B_layout since; measured: docs/facts.md, what merging "
    "stores",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={
        "write": "delta_wrong_packing",
        "lora": "delta_wrong_packing",
        "merged": "delta_wrong_packing",
        "verify": "delta_wrong_packing",
    },
)

FACTOR = ".experts.lora_B.weight", ".experts.base_layer.lora_B.weight"


def strike(scene: Scene) -> None:
    """The file's lora_B is packed by expert, and says so; the merge starts from the same numbers."""

    def regrouped(b: Any) -> Any:
        return b.reshape(len(b), -1, scene.num_experts).swapaxes(1, 2).reshape(b.shape)

    def repack(directory: Path) -> None:
        names = [entry.name for entry in read_header(directory / "adapter_model.safetensors")]
        rewrite(directory, [name for name in names if name.endswith(FACTOR)], lambda _, b: regrouped(b))
        scene.edit_json(
            directory / "adapter_config.json", lambda config: config.update(lora_B_layout="grouped_by_expert")
        )

    def regroup(trained: Any) -> None:
        import torch

        for module in trained.modules():
            if type(module).__name__ == "ParamWrapper":
                for factor in module.lora_B.values():
                    factor.weight = torch.nn.Parameter(regrouped(factor.weight.detach()).contiguous())

    scene.hits(*scene.tensors("experts."))
    scene.adapter_saved(repack)
    scene.before_merge(regroup)
