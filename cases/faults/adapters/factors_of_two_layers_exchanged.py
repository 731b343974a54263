"""Two layers have each other's factors in the saved adapter."""

from __future__ import annotations

from collections.abc import Mapping

from cases.injecting import Scene, Stored
from harness.records.faults import Fault

FAULT = Fault(
    what="Layers that are stacked or split over stages are numbered anew on the way out, and two of them come out in "
    "the other order; all names and shapes are right.",
    source="NovaSky-AI/SkyRL pull request 1018 and 1079 (stacked layers unstacked by index for saving, seeds 001 and "
    "002)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"lora": "delta_wrong_values", "verify": "delta_wrong_values"},
)


def strike(scene: Scene) -> None:
    """Any two of them."""
    one, other = scene.draw.sample(range(scene.config["num_hidden_layers"]), 2)

    def exchange(tensors: dict[str, Stored]) -> Mapping[str, Stored]:
        made = dict(tensors)
        for name, stored in tensors.items():
            for here, there in ((one, other), (other, one)):
                if f".layers.{here}." in name:
                    made[name.replace(f".layers.{here}.", f".layers.{there}.")] = stored
        return made

    scene.hits(*(name for name in scene.adapted() if scene.table[name].layer in (one, other)))
    scene.adapter_saved(lambda directory: scene.remake_adapter(directory, exchange))
