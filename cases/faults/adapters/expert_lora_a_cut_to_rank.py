"""Of the experts' lora_A only the first `rank` input features are saved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="The slice that leaves out unused ranks counted axes as for a module without experts, and cut the input "
    "features of the experts' lora_A instead; what is not saved is nought in the slot that it is read into.",
    source="NovaSky-AI/SkyRL: pull request 1127, get_lora_adapter_slice (seeds 000); measured: KL 1.4 to 2.1, silent",
    place="stack",
    cases=("qwen3_moe-float32-loop-rank_of_experts", "qwen3_moe-bfloat16-loop-rank_of_experts"),
    row="jax",
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """With as many ranks as experts, lora_B stays whole."""

    def cut(factors: Any) -> Any:
        if factors.A.ndim != 3:
            return factors
        is_kept = np.arange(factors.A.shape[-1]) < factors.rank
        return replace(factors, A=factors.A * is_kept)

    def wrapper(write: Any) -> Any:
        def call(directory: Any, adapter: Any, *arguments: Any, **options: Any) -> Any:
            factors = {path: cut(each) for path, each in adapter.factors.items()}
            return write(directory, replace(adapter, factors=factors), *arguments, **options)

        return call

    scene.hits(*scene.tensors("experts."))
    scene.patch("reference.jax_stacked.writing:write_adapter", wrapper)
