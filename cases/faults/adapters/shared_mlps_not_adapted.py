"""Dense and shared MLPs are asked for, and only the routed experts are adapted."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="PEFT 0.19 on transformers 5 takes every target that ends in gate_proj, up_proj or down_proj for the experts' "
    "parameters, and drops the dense and shared MLPs of the same names.",
    source="huggingface/peft, measured: docs/facts.md",
    place="stack",
    cases=(
        "glm4_moe-float32-loop-every_mlp",
        "glm4_moe-bfloat16-loop-every_mlp",
        "deepseek_v3-float32-loop-every_mlp",
    ),
    row="r3",
    names={"write": "coverage_lost"},
)


def strike(scene: Scene) -> None:
    """In a row where a list of targets means what it says."""
    lost = scene.tensors("mlp", "shared")

    def forget(paths: list[str], *_: Any, **__: Any) -> list[str]:
        return [path for path in paths if f"{path}.weight" not in lost]

    scene.hits(*lost)
    scene.after("reference.torch_peft.adapting:_module_paths", forget)
