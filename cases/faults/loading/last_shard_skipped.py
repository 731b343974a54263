"""A reload reads every shard but the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import INDEX_FILE
from harness.records.faults import Fault
from harness.records.jobs import ReadJob

FAULT = Fault(
    what="A loader goes through the shards that it finds, and never asks whether they are all that the index names: "
    "what is in the others stays as it was drawn, and the server starts as ever.",
    source="sgl-project/sglang #32279: a shard of an interrupted download is silently dropped",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"merged": "keys_missing"},
)


def strike(scene: Scene) -> None:
    """The list of files ends one too early."""
    assert isinstance(scene.job, ReadJob)
    index = json.loads((Path(scene.job.written) / "merged" / INDEX_FILE).read_text(encoding="utf-8"))
    last = max(index["weight_map"].values())

    def without_last(resolved: Any, *_: Any, **__: Any) -> Any:
        files, metadata = resolved
        return [file for file in files if not file.endswith(last)], metadata

    scene.hits(*(name for name, file in index["weight_map"].items() if file == last))
    scene.after("transformers.modeling_utils:_get_resolved_checkpoint_files", without_last)
