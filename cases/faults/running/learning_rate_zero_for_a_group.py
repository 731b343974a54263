"""The optimiser has a group of parameters whose learning rate is zero."""

from __future__ import annotations

import functools
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Learning rates were given by groups of parameters, and the scheduler counted other groups than the "
    "optimiser: adapter parameters got the rate of another group, here zero. They had gradients, and never "
    "moved.",
    source="deepspeedai/DeepSpeedExamples #756",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_untrained"},
)


def strike(scene: Scene) -> None:
    """One kind of attention projection, in all layers."""
    part = scene.pick(("q_proj", "k_proj", "v_proj", "o_proj"))
    names = [name for name in scene.tensors("attention") if f".{part}." in name]
    still: set[int] = set()

    def note(adapted: Any, *_: Any) -> Any:
        for name in names:
            module = adapted.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
            still.update(id(parameter) for parameter in module.parameters())
        return adapted

    def wrapper(init: Any) -> Any:
        @functools.wraps(init)
        def grouped(optimizer: Any, params: Any, *arguments: Any, **options: Any) -> Any:
            held = list(params)
            groups = [
                {"params": [parameter for parameter in held if id(parameter) not in still]},
                {"params": [parameter for parameter in held if id(parameter) in still], "lr": 0.0},
            ]
            return init(optimizer, groups, *arguments, **options)

        return grouped

    scene.hits(*names)
    scene.after("reference.torch_peft.training:adapt", note)
    scene.patch("torch.optim:AdamW.__init__", wrapper)
