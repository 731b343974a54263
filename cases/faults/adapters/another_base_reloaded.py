"""The adapter is reloaded onto another base than it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="adapter_config.json says where the base was, by a path or a branch, and something else lies there by now: "
    "all shapes fit, and PEFT compares nothing else.",
    source="huggingface/peft: base_model_name_or_path is a name and a branch, and no digest (config.py)",
    place="environment",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """Weights of another seed, by the same configuration."""
    other = replace(scene.case, seed=scene.case.seed + 1 + scene.draw.randrange(1000))

    def wrapper(load: Any) -> Any:
        def call(_directory: Path, dtype: str) -> Any:
            from harness.checkpoints.base import write_base

            with TemporaryDirectory() as scratch:
                write_base(Path(scratch), scene.family, other)
                return load(Path(scratch), dtype)

        return call

    scene.hits(*(set(scene.tensors()) - set(scene.adapted())))
    scene.patch("reference.torch_peft.loading:load_model", wrapper)
