"""One norm, which nothing adapted, differs from base by the last bit of each element."""

from __future__ import annotations

import numpy as np

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="What is not adapted must come back bit for bit: the lowest bit is the smallest change that can be stored, "
    "and it is one.",
    source="unslothai/unsloth-zoo's own merge tests, which ask for byte-identical tensors",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "passthrough_changed"},
)

STEPS = {"float32": 1, "bfloat16": 1 << 16}
"""Of float32's bits to the next number of the dtype."""


def strike(scene: Scene) -> None:
    """Each element of a norm is the next larger number in magnitude."""
    name = scene.pick(scene.tensors("norm"))
    step = np.uint32(STEPS[scene.case.dtype])
    scene.hits(name)
    scene.merged_saved(
        lambda directory: rewrite(directory, [name], lambda _, values: (values.view(np.uint32) + step).view(np.float32))
    )
