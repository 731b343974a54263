"""The last shard with adapted tensors is written before its deltas are merged."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import read_index
from harness.records.faults import Fault

FAULT = Fault(
    what="Where disks are small, shards are merged and uploaded one by one before anything is checked: one whose "
    "merge fell back is published as base's.",
    source="unslothai/unsloth-zoo#647, review: shards are uploaded inside the merge's loop (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """What is adapted in one shard is base's."""
    adapted = set(scene.adapted())

    def forget(directory: Path) -> None:
        index = read_index(directory)
        last = max(entry.path for name, entry in index.items() if name in adapted)
        missed = [name for name, entry in index.items() if name in adapted and entry.path == last]
        scene.hits(*missed)
        scene.restore(directory, missed)

    scene.merged_saved(forget)
