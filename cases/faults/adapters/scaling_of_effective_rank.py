"""Experts train with alpha / max(1, r // E), and the saved configuration means alpha / r."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The rank was divided among the experts, and training scaled by alpha over that effective rank; the exported "
    "configuration says r and alpha, which every reader takes for alpha / r.",
    source="NovaSky-AI/SkyRL: exported adapter read by stock PEFT, measured (KL 1.34)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_scale", "verify": "delta_wrong_scale"},
)


def strike(scene: Scene) -> None:
    """From the first step on, so that training, merging and what is computed agree."""

    def rescale(adapted: Any, *_: Any, **__: Any) -> Any:
        from peft.tuners.lora.layer import ParamWrapper

        for module in adapted.modules():
            if isinstance(module, ParamWrapper):
                for name, rank in module.r.items():
                    module.scaling[name] = module.lora_alpha[name] / max(1, rank // scene.num_experts)
        return adapted

    scene.hits(*scene.tensors("experts."))
    scene.after("reference.torch_peft.training:adapt", rescale)
