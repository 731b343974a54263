"""The experts that one shard has are taken for all of a layer's, and no others are merged."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import read_index
from harness.records.faults import Fault

FAULT = Fault(
    what="A layer's experts were counted by the keys of one shard (16 or 17 of 128), and the loop that merges them "
    "ran so far: the others stayed base's.",
    source="unslothai/unsloth-zoo#647: num_experts from the shard-local key scan (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop-sharded", "qwen3_moe-bfloat16-loop-sharded"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """In each layer, experts from the number on that the layer's first shard in base has are base's."""
    index = read_index(Path(scene.job.base))
    missed: list[str] = []
    for layer in range(int(scene.config["num_hidden_layers"])):
        names = scene.tensors("experts.", layer=layer)
        first = min(index[name].path for name in names)
        count = len({scene.table[name].expert for name in names if index[name].path == first})
        missed += [name for name in names if int(scene.table[name].expert or 0) >= count]
    scene.hits(*missed)
    scene.merged_saved(lambda directory: scene.restore(directory, missed))
