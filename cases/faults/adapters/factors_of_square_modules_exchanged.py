"""lora_A and lora_B of a square module are exchanged, each transposed."""

from __future__ import annotations

from collections.abc import Mapping

from cases.injecting import Scene, Stored
from harness.records.faults import Fault

FAULT = Fault(
    what="A framework that holds (in, r) and (r, out) exports factors the wrong way round; where a module is square "
    "they fit all the same, and compute the transpose.",
    source="osaurus-ai/vmlx-swift pull request 320 (where the dimensions agree, an un-transposed factor loads and "
    "computes another function)",
    place="artifact",
    cases=("qwen3-float32-loop-square_attention", "qwen3-bfloat16-loop-square_attention"),
    names={"lora": "delta_wrong_layout", "verify": "delta_wrong_layout"},
)


SQUARE = (".q_proj.", ".o_proj.")
A, B = ".lora_A.weight", ".lora_B.weight"


def strike(scene: Scene) -> None:
    """In all layers."""

    def exchange(tensors: dict[str, Stored]) -> Mapping[str, Stored]:
        made = dict(tensors)
        for name, (dtype, values) in tensors.items():
            if any(part in name for part in SQUARE):
                made[name.replace(A, B) if A in name else name.replace(B, A)] = (dtype, values.T)
        return made

    scene.hits(*(name for name in scene.adapted() if any(part in name for part in SQUARE)))
    scene.adapter_saved(lambda directory: scene.remake_adapter(directory, exchange))
