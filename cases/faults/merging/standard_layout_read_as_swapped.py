"""Factors of PEFT 0.19 are merged as if PEFT 0.18 had laid them out."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A merge knew the layout of PEFT 0.18 alone; where 2I == H the factors of 0.19 have the same shapes, and "
    "another delta went in without a word.",
    source="unslothai/unsloth-zoo#647: MoE LoRA merge (seeds 003); measured: docs/facts.md, 2026.5.1 with factors of "
    "0.19.1",
    place="stack",
    cases=("qwen3_moe-float32-loop-square_gate_up", "qwen3_moe-bfloat16-loop-square_gate_up"),
    names={"write": "delta_wrong_layout", "merged": "delta_wrong_layout", "verify": "delta_wrong_layout"},
)


def strike(scene: Scene) -> None:
    """Each expert's delta of gate and up is merged transposed, which where 2I == H has the same shape."""
    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.merge_deltas(lambda module, delta: delta.mT.contiguous() if delta.ndim == 3 else delta)
