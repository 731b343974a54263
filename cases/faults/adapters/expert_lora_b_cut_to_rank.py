"""Fewer ranks than experts: of lora_B as many experts as ranks are saved, the last for all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The slice that leaves out unused ranks cut the experts' axis of lora_B, and an index past the end of an "
    "array of JAX is the last: all further experts were saved with the factors of one.",
    source="NovaSky-AI/SkyRL: pull request 1127, get_lora_adapter_slice (seeds 000); measured: lora_B "
    "duplicated where r < E",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """lora_A loses its input features past the rank, as with more ranks."""

    def cut(factors: Any) -> Any:
        if factors.A.ndim != 3:
            return factors
        num_experts, rank, num_in = factors.A.shape
        taken = np.minimum(np.arange(num_experts), rank - 1)
        return replace(factors, A=factors.A * (np.arange(num_in) < rank), B=factors.B[taken])

    def wrapper(write: Any) -> Any:
        def call(directory: Any, adapter: Any, *arguments: Any, **options: Any) -> Any:
            factors = {path: cut(each) for path, each in adapter.factors.items()}
            return write(directory, replace(adapter, factors=factors), *arguments, **options)

        return call

    scene.hits(*scene.tensors("experts."))
    scene.patch("reference.jax_stacked.writing:write_adapter", wrapper)
