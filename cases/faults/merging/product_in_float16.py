"""The product of the factors is made in float16 and added to float32 weights."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge ran on factors that had been loaded in float16: the delta is there, with three digits of it.",
    source="axolotl-ai-cloud/axolotl#902: all LoRA merges were float16",
    place="stack",
    cases=("qwen3_moe-float32-loop",),
    only="bfloat16 weights hold fewer digits of the sum than float16 has of the delta: nothing is lost by it",
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Every delta is rounded to float16 before the sum."""
    scene.hits(*scene.adapted())
    scene.merge_deltas(lambda _, delta: delta.half().to(delta.dtype))
