"""Shards of an earlier save lie beside the new ones, and no index names them."""

from __future__ import annotations

import shutil
from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A model was saved over an older save with more shards: loaders that read every file take the old tail "
    "too, which overwrites the new.",
    source="mflux-community/mflux#603; huggingface/diffusers#14719",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"write": "index_mismatch", "verify": "index_mismatch"},
)

STALE = "model-00099-of-00099.safetensors"


def strike(scene: Scene) -> None:
    """One of base's shards, under a name of its own."""

    def leave(directory: Path) -> None:
        [*_, shard] = sorted(Path(scene.job.base).glob("model-*.safetensors"))
        shutil.copyfile(shard, directory / STALE)

    scene.hits_file(STALE)
    scene.merged_saved(leave)
