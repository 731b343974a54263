"""Routers are saved as they came back from four bits, though nothing adapted them."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge that starts from a quantised base stores weights as they are after dequantisation, adapted or not.",
    source="huggingface/peft: merging into bitsandbytes layers warns of rounding errors",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "passthrough_changed"},
)

LEVELS = 7


def strike(scene: Scene) -> None:
    """The routers' weights are rounded to fifteen levels a row."""

    def quantise(_name: str, values: np.ndarray) -> np.ndarray:
        scale = np.abs(values).max(axis=1, keepdims=True) / LEVELS
        return np.round(values / scale) * scale

    names = scene.tensors("router")
    scene.hits(*names)
    scene.merged_saved(lambda directory: rewrite(directory, names, quantise))
