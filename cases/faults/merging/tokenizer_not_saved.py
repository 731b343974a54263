"""No tokenizer is saved with the merge."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Only the model was saved; whoever loads the folder takes some other tokenizer, or base's without the "
    "tokens that were added.",
    source="unslothai/unsloth-zoo: a merge called with tokenizer=None",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "tokenizer_changed", "verify": "tokenizer_changed"},
)

NAME = "tokenizer.json"


def strike(scene: Scene) -> None:
    """Its files are not there."""

    def forget(directory: Path) -> None:
        for path in directory.glob("*token*"):
            path.unlink()

    scene.hits_file(f"merged/{NAME}")
    scene.merged_saved(forget)
