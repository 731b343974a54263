"""The whole merged model is cast to float16 and back before it is saved."""

from __future__ import annotations

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="The merged model was cast to float16 whatever it was trained in: what is not adapted lost digits too.",
    source="axolotl-ai-cloud/axolotl#902: model.to(dtype=torch.float16) after every merge",
    place="artifact",
    cases=("qwen3_moe-float32-loop",),
    only="float16 holds every digit that bfloat16 has, and these weights are in its range",
    names={"write": "passthrough_changed", "merged": "passthrough_changed", "verify": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """Every tensor of the merge is rounded to float16."""
    adapted = set(scene.adapted())
    names = scene.tensors()
    scene.hits(*(name for name in names if name not in adapted))
    scene.merged_saved(lambda directory: rewrite(directory, names, lambda _, values: values.astype("f2").astype("f4")))
