"""A reload reads the epsilon of its norms from the defaults."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Norms were written with a fixed epsilon in the code, and rms_norm_eps of config.json was never read.",
    source="PaddlePaddle/FastDeploy #2790 and #2797: hard-coded for qwen3_moe among others",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "config_changed"},
)
DEFAULT = 1e-6


def strike(scene: Scene) -> None:
    """config.json is read without it."""

    def forget(config: Any) -> None:
        config.rms_norm_eps = DEFAULT

    scene.hits_field("rms_norm_eps")
    scene.config_read(forget)
