"""A reload finds a scaling of 0: the adapter loads, and does nothing."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="What a configuration did not say was taken for 0, or a slot's scaling was never restored: the factors are "
    "there, and are multiplied away.",
    source="invergent-ai/surogate issue 173 (missing lora_alpha yields scale 0)",
    place="stack",
    form="lora",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"lora": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """Of every module."""

    def wrapper(_scaling: Any) -> Any:
        return lambda _adapter, _path: 0.0

    scene.hits(*scene.adapted())
    scene.patch("reference.jax_stacked.adapters.record:Adapter.scaling", wrapper)
