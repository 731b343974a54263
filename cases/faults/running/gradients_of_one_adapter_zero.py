"""No gradient comes to the adapter of one Linear."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A fast path of a quantised Linear went around autograd: the gradients of some lora_B were all zero, "
    "others learned in their place, and the loss fell nearly as it should.",
    source="bitsandbytes 0.50.2, nf4 on a processor, measured: 38 of 56 lora_B had no gradient",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_untrained"},
)


def strike(scene: Scene) -> None:
    """One projection of one layer's attention, from the beginning of training to its end."""
    name = scene.pick(scene.tensors("attention", layer=scene.layer_of("attention")))

    def cut(adapted: Any, *_: Any) -> Any:
        import torch

        module = adapted.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_hook(torch.zeros_like)
        return adapted

    scene.hits(name)
    scene.after("reference.torch_peft.training:adapt", cut)
