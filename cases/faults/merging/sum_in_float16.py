"""The merged weights are rounded to float16 and saved as float32."""

from __future__ import annotations

from cases.injecting import Scene, rewrite
from harness.records.faults import Fault

FAULT = Fault(
    what="The merged model was cast to float16 whatever it was trained in; here, what is adapted alone.",
    source="axolotl-ai-cloud/axolotl#902: model.to(dtype=torch.float16) after every merge",
    place="artifact",
    cases=("qwen3_moe-float32-loop",),
    only="float16 holds every digit that bfloat16 has, and these weights are in its range",
    names={"write": "delta_wrong_values", "merged": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """What is adapted is rounded to float16 once it is merged."""
    names = scene.adapted()
    scene.hits(*names)
    scene.merged_saved(lambda directory: rewrite(directory, names, lambda _, values: values.astype("f2").astype("f4")))
