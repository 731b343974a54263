"""The saved configuration names no target_modules, and the reader adapts what it has noted for the type."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="adapter_config.json was written without target_modules: PEFT falls back to q_proj and v_proj for this type "
    "of model, and leaves out the other factors of the file.",
    source="NovaSky-AI/SkyRL: exported adapter read by stock PEFT, measured (dense: 4 of 14 modules load, silently, KL "
    "2.0)",
    place="artifact",
    cases=("qwen3-float32-loop", "qwen3-bfloat16-loop"),
    names={"lora": "delta_missing"},
)


NOTED = ("q_proj", "v_proj")
"""For Qwen3, by PEFT."""


def strike(scene: Scene) -> None:
    """The file of factors is whole."""
    scene.hits(*(name for name in scene.adapted() if not any(f".{noted}." in name for noted in NOTED)))
    scene.adapter_saved(
        lambda directory: scene.edit_json(
            directory / "adapter_config.json", lambda config: config.update(target_modules=None)
        )
    )
