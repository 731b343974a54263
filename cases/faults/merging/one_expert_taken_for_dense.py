"""A layer with one expert is taken for a dense one, and is left as it is in base."""

from __future__ import annotations

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="For one expert the extraction gave matrices instead of stacks; the merge of experts refused their shape "
    "and gave the base weight back.",
    source="unslothai/unsloth-zoo#629, review: num_experts <= 1 returns 2D tensors (seeds 004)",
    place="stack",
    cases=("qwen3_moe-float32-loop-one_expert", "qwen3_moe-bfloat16-loop-one_expert"),
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """The delta of each fused parameter is zero in the merge."""
    scene.hits(*scene.tensors("experts."))
    scene.merge_deltas(lambda module, delta: delta * 0 if type(module).__name__ == "ParamWrapper" else delta)
