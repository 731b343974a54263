"""The saver transposes the embedding as it does every kernel."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import Writable
from harness.records.faults import Fault

FAULT = Fault(
    what="Kernels are transposed on their way to the checkpoint and embeddings are not, told apart by a part of a "
    "name; where that fails, the embedding is stored (hidden, vocabulary).",
    source='NovaSky-AI/SkyRL tx: `if "embed_tokens" in key` decides (seeds 001 and 004)',
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"write": "shape_mismatch", "verify": "shape_mismatch"},
)


def strike(scene: Scene) -> None:
    """The embedding's axes are exchanged in the file."""
    (name,) = scene.tensors("embedding")

    def transpose(tensors: dict[str, Writable]) -> None:
        dtype, values = tensors[name]
        tensors[name] = (dtype, np.ascontiguousarray(np.asarray(values).T))

    scene.hits(name)
    scene.merged_saved(lambda directory: scene.edit_tensors(directory, transpose))
