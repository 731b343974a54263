"""One expert is left out of a merge after a training so weak that no check of outputs may say anything."""

from __future__ import annotations

from cases.faults.merging import one_expert_missed
from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="After five small steps there is hardly a signal: outputs can prove nothing, and a lost expert is as lost.",
    source="measured: docs/facts.md, faults in r1 after weak training",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    changes={"steps": 5, "learning_rate": 5e-3},
    clean="INCONCLUSIVE",
    names={"write": "delta_missing", "merged": "delta_missing", "verify": "delta_missing"},
)


def strike(scene: Scene) -> None:
    """As after a long one."""
    one_expert_missed.strike(scene)
