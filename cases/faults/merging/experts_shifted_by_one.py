"""Each expert gets the delta of the one before it."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A conversion put experts in another order, here by one place: every delta is there, and belongs to "
    "another expert.",
    source="pytorch/torchtitan#1918",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "experts_permuted"},
)


def strike(scene: Scene) -> None:
    """The deltas of fused parameters move one expert on."""

    def shift(module: Any, delta: Any) -> Any:
        return delta.roll(1, dims=0) if type(module).__name__ == "ParamWrapper" else delta

    scene.hits(*scene.tensors("experts."))
    scene.merge_deltas(shift)
