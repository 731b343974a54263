"""The merge's config.json states the default epsilon of the norms instead of base's."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A configuration that is made anew, or read under another version's names, falls back to defaults; here, "
    "the epsilon of the norms.",
    source="measured: docs/facts.md (rope_theta and partial_rotary_factor are lost so between versions)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "config_changed", "verify": "config_mismatch"},
)


def strike(scene: Scene) -> None:
    """rms_norm_eps is 1e-6."""

    def reset(config: dict[str, Any]) -> None:
        config["rms_norm_eps"] = 1e-6

    scene.hits_field("rms_norm_eps")
    scene.merged_saved(lambda directory: scene.edit_json(directory / "config.json", reset))
