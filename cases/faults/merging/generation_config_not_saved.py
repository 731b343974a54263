"""generation_config.json is not saved with the merge."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The merged folder had no generation_config.json: a chat model reloaded with other stop tokens, and wrote "
    "on past the end.",
    source="unslothai/unsloth#5410, unslothai/unsloth-zoo#647 (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "generation_config_missing", "verify": "generation_config_missing"},
)

NAME = "generation_config.json"


def strike(scene: Scene) -> None:
    """The file is not there."""
    scene.hits_file(f"merged/{NAME}")
    scene.merged_saved(lambda directory: (directory / NAME).unlink())
