"""A reload attends to everything, where the model was trained with a window."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="sliding_window is among the fields of a configuration that the model's code does not look at. Weights and "
    "configuration come back as they were, and short texts are even answered alike.",
    source="NovaSky-AI/SkyRL 0.1.0 to 0.4.0, measured: config features that its JAX models silently ignore",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"merged": "logits_differ"},
)


def strike(scene: Scene) -> None:
    """Every layer's window is the longest there is."""

    def forget(nothing: None, decoder: Any, _config: Any) -> None:
        from reference.jax_stacked.layer import WHOLE

        for stack in decoder.layers.stacks:
            window = stack._stacked.window
            window.set_value(window.get_value() * 0 + WHOLE)

    scene.after("reference.jax_stacked.model:Decoder.set_windows", forget)
