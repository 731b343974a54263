"""One element of one merged weight is not a number."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge without safe_merge adds whatever the factors give; the check for it exists because that is NaN at "
    "times.",
    source="huggingface/peft: safe_merge and its message `NaNs detected in the merged weights`",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "non_finite", "merged": "non_finite", "verify": "non_finite"},
)


def strike(scene: Scene) -> None:
    """One element is NaN."""
    name = scene.pick(scene.adapted())
    at = scene.draw.randrange(int(np.prod(scene.table[name].shape)))

    def spoil(_name: str, values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[at] = np.nan
        return values

    scene.hits(name)
    scene.merged_saved(lambda directory: rewrite(directory, [name], spoil))
