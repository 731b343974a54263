"""The orientation of a delta is guessed from its shape, and square ones go in transposed."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Helpers that tell the orientation of factors by their dimensions cannot tell that of a square weight: "
    "both ways fit.",
    source="unslothai/unsloth-zoo#647: layouts told by shapes (seeds 003); measured: docs/facts.md, with 2I == H",
    place="stack",
    cases=("qwen3-float32-loop-square_attention", "qwen3-bfloat16-loop-square_attention"),
    names={"write": "delta_wrong_layout", "merged": "delta_wrong_layout", "verify": "delta_wrong_layout"},
)


def strike(scene: Scene) -> None:
    """The deltas of square projections are transposed."""
    square = [name for name in scene.adapted() if len(set(scene.table[name].shape)) == 1]
    scene.hits(*square)
    scene.merge_deltas(lambda _, delta: delta.mT.contiguous() if delta.shape[0] == delta.shape[1] else delta)
