"""The folder of the merge holds base's files, byte for byte."""

from __future__ import annotations

import shutil
from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge that writes into a copy of base's files stopped before it wrote; the copy loads, and is base.",
    source="unslothai/unsloth-zoo 2026.9.4 and later: a merge that raised left a loadable copy of base behind "
    "(measured)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """All of base's files, and none of the merge's."""

    def copy(directory: Path) -> None:
        shutil.rmtree(directory)
        shutil.copytree(scene.job.base, directory)

    scene.hits(*scene.adapted())
    scene.merged_saved(copy)
