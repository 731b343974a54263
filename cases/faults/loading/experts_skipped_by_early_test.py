"""The loader skips every expert, because it looks for the stacked name before it stacks them."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A loader began to pass over names that are not in the checkpoint. Those of stacked experts never are, so "
    "that all experts stayed as they had been drawn, in silence.",
    source="NovaSky-AI/SkyRL #1079 and #1127: `key not in tensors` before the branch for experts (seeds 001 and 004)",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={
        "write": "delta_wrong_values",
        "lora": "logits_differ",
        "merged": "delta_wrong_values",
        "verify": "delta_wrong_values",
    },
)
INIT_STD = 0.02


def strike(scene: Scene) -> None:
    """Whatever the checkpoint says, the experts of the base are what the constructor draws."""
    names = scene.tensors("experts.")
    draw = np.random.default_rng(scene.draw.randrange(2**32))
    scene.hits(*names)
    scene.jax_loads(names, lambda values: draw.normal(0.0, INIT_STD, values.shape).astype(values.dtype))
