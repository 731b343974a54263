"""The merge fails, the exception is swallowed, and base is saved as the merge."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Every merge of a weight ran into an exception, which a bare `except Exception: return W` answered with "
    "the base weight; success was reported.",
    source="unslothai/unsloth#5410, unslothai/unsloth-zoo#647 (seeds 003); huggingface/trl#386",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """Every adapter is taken off without having been merged."""

    def unload(trained: Any) -> None:
        trained.merge_and_unload = trained.unload

    scene.hits(*scene.adapted())
    scene.before_merge(unload)
