"""The index names a shard for a tensor that lies in another one."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import INDEX_FILE
from harness.records.faults import Fault

FAULT = Fault(
    what="Shards were written anew and the index was not: it names a file that does not have the tensor.",
    source="Neph0s/CoSER#3 (an index of an earlier save); vllm-project/vllm#54230 (loaders that do not hold it to its "
    "word)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"write": "index_mismatch", "verify": "index_mismatch"},
)


def strike(scene: Scene) -> None:
    """One tensor is listed under another file."""
    name = scene.pick(scene.adapted())

    def mislead(index: dict[str, Any]) -> None:
        files = index["weight_map"]
        files[name] = scene.pick(sorted(set(files.values()) - {files[name]}))

    scene.hits(name)
    scene.merged_saved(lambda directory: scene.edit_json(directory / INDEX_FILE, mislead))
