"""A whole file of an earlier save lies beside the new shards, and loaders take it."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import SINGLE_FILE, read_index, read_tensor, write_file
from harness.records.faults import Fault

FAULT = Fault(
    what="Shards were published with a stray model.safetensors beside them: transformers takes the whole file first.",
    source="Blaizzy/mlx-vlm#1464; huggingface/diffusers#14769 (the same between formats)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """base's weights in one file, beside the merge's index and shards."""

    def leave(directory: Path) -> None:
        base = read_index(Path(scene.job.base))
        write_file(directory / SINGLE_FILE, {name: (entry.dtype, read_tensor(entry)) for name, entry in base.items()})

    scene.hits(*scene.adapted())
    scene.merged_saved(leave)
