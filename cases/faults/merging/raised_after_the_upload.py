"""The merge raises when the base weights that it fell back to are already saved."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The check for experts that were not merged came after the upload: the error was loud, and the published "
    "checkpoint was base's all the same.",
    source="unslothai/unsloth-zoo#647, review: check MoE fallbacks before uploading (seeds 003)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"verify": "delta_missing"},
    crashes=True,
)


def strike(scene: Scene) -> None:
    """The experts are base's on disk, and then there is an exception."""
    names = scene.tensors("experts.")

    def fail(directory: Path) -> None:
        scene.restore(directory, names)
        raise RuntimeError("MoE LoRA merge: some experts fell back to base weights")

    scene.hits(*names)
    scene.merged_saved(fail)
