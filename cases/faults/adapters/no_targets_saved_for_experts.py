"""The saved configuration names no targets at all, and the reader knows none for a mixture of experts."""

from __future__ import annotations

from pathlib import Path

from cases.injecting import ADAPTER_FILE, Scene
from harness.checkpoints.safetensors_file import read_header
from harness.records.faults import Fault

FAULT = Fault(
    what="adapter_config.json was written without target_modules and target_parameters: PEFT has noted none for this "
    "type of model, and refuses to load the adapter.",
    source="NovaSky-AI/SkyRL: exported adapter read by stock PEFT, measured (MoE: ValueError)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "crashed", "verify": "adapter_key_unmatched"},
    crashes=True,
)


def strike(scene: Scene) -> None:
    """The file of factors is whole, but nothing says what those of experts are for."""

    def forget(directory: Path) -> None:
        entries = read_header(directory / ADAPTER_FILE)
        scene.hits_keys(*(entry.name for entry in entries if ".experts." in entry.name))
        scene.edit_json(
            directory / "adapter_config.json",
            lambda config: config.update(target_modules=None, target_parameters=None),
        )

    scene.adapter_saved(forget)
