"""The merged weights are stored in another dtype than the configuration states."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import SINGLE_FILE, read_header, read_tensor, write_file
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge of a 16-bit model was saved as float32, at twice the size; here config.json goes on saying what "
    "was asked for.",
    source="axolotl-ai-cloud/axolotl#1510, modelscope/ms-swift#841",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "dtype_changed", "verify": "dtype_changed"},
)

OTHER = {"float32": "BF16", "bfloat16": "F32"}


def strike(scene: Scene) -> None:
    """Every tensor is stored as the other of the two."""

    def cast(directory: Path) -> None:
        path = directory / SINGLE_FILE
        entries = read_header(path)
        write_file(path, {entry.name: (OTHER[scene.case.dtype], read_tensor(entry)) for entry in entries})

    scene.hits(*scene.tensors())
    scene.merged_saved(cast)
