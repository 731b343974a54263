"""The delta is subtracted from base."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Combining adapters with negative weights got the sign of a delta wrong; tests compared the factors, and "
    "not their product.",
    source="huggingface/peft#2811, huggingface/peft#2918",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "delta_wrong_sign", "merged": "delta_wrong_sign", "verify": "delta_wrong_sign"},
)


def strike(scene: Scene) -> None:
    """Every delta is merged with the other sign."""
    scene.hits(*scene.adapted())
    scene.merge_deltas(lambda _, delta: -delta)
