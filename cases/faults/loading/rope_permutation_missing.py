"""The loader takes queries and keys whose rotated pairs are neighbours for ones whose pairs are halves."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Rotated pairs of a head are neighbouring rows in Meta's layout and half a head apart in that of Hugging "
    "Face. A conversion that leaves the rows where they are computes fluent text at a KL of 1e-6 to 1e-5.",
    source="pytorch/torchtitan #335, mended in #1441",
    place="stack",
    form="merged",
    cases=("llama-float32-loop", "llama-bfloat16-loop"),
    row="jax",
    names={"merged": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Rows of queries and keys of every layer, from halves to neighbours."""
    names = [name for name in scene.tensors("attention") if ".q_proj." in name or ".k_proj." in name]
    half = scene.config["head_dim"] // 2

    def interleaved(values_OI: np.ndarray) -> np.ndarray:
        halves = values_OI.reshape(-1, 2, half, values_OI.shape[-1])
        return halves.swapaxes(1, 2).reshape(values_OI.shape)

    scene.hits(*names)
    scene.jax_loads(names, interleaved)
