"""The saver flattens attention's projections with heads and head_dim exchanged."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Attention that is kept as (hidden, heads, head_dim) is flattened on saving. With the two axes in the other "
    "order the matrix has the same shape, and rows of all heads are mixed.",
    source="nntile/nntile #402 (heads and head_dim regrouped); NovaSky-AI/SkyRL tx flattens q, k and v on saving",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """One projection, of every layer."""
    projection = scene.pick(("q_proj", "k_proj", "v_proj"))
    names = [name for name in scene.tensors("attention") if f".{projection}." in name]
    head_dim = scene.config["head_dim"]

    def exchanged(values_OI: np.ndarray) -> np.ndarray:
        by_head = values_OI.reshape(-1, head_dim, values_OI.shape[-1])
        return by_head.swapaxes(0, 1).reshape(values_OI.shape)

    scene.hits(*names)
    scene.jax_saves(names, exchanged)
