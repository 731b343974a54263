"""Factors of PEFT 0.18 are merged as if PEFT 0.19 had laid them out."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="PEFT 0.19 exchanged the in and out features of 3D parameters; where 2I == H, factors of 0.18 still fit, "
    "and give another delta.",
    source="NVIDIA-NeMo/Automodel#3592; measured: KL 0.65 to 0.71, in silence",
    place="stack",
    cases=("qwen3_moe-float32-loop-square_gate_up", "qwen3_moe-bfloat16-loop-square_gate_up"),
    row="r2",
    names={"write": "delta_wrong_layout", "merged": "delta_wrong_layout", "verify": "delta_wrong_layout"},
)


def strike(scene: Scene) -> None:
    """Each expert's delta of gate and up is merged transposed, which where 2I == H has the same shape."""
    scene.hits(*scene.tensors("experts.gate", "experts.up"))
    scene.merge_deltas(lambda module, delta: delta.mT.contiguous() if delta.ndim == 3 else delta)
