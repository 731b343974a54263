"""The biases of attention are not saved with the merged weights."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import SINGLE_FILE, read_header, read_tensor, write_file
from harness.records.faults import Fault

FAULT = Fault(
    what="A checkpoint was written from matrices alone: the base had 72 biases more, and a reload fills them in.",
    source="paiml/entrenar#258: Qwen2's biases dropped on saving",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "tensor_missing", "merged": "keys_missing", "verify": "tensor_missing"},
)


def strike(scene: Scene) -> None:
    """No bias is in the file."""
    names = scene.tensors("bias")

    def drop(directory: Path) -> None:
        path = directory / SINGLE_FILE
        kept = {entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(path) if entry.name not in names}
        write_file(path, kept)

    scene.hits(*names)
    scene.merged_saved(drop)
