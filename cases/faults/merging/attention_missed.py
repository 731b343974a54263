"""Experts are merged, and attention is left as it is in base."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Adapter keys that did not match the names of the merge were merged into nothing, in silence; here, those "
    "of attention.",
    source="huggingface/peft#1579",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The delta of each Linear is zero in the merge."""
    scene.hits(*scene.tensors("attention"))
    scene.merge_deltas(lambda module, delta: delta if type(module).__name__ == "ParamWrapper" else delta * 0)
