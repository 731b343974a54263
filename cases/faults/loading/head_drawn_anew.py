"""The head is loaded, and then initialised once more."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Initialisation after loading passes over what is marked as loaded. A head without that mark is drawn anew: "
    "what from_pretrained says of keys is clean, and the logits are noise.",
    source="huggingface/transformers #46620 (clean loading_info), #35141 and #45079 (heads without the mark)",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "passthrough_changed"},
)


def strike(scene: Scene) -> None:
    """The head gets new numbers once the checkpoint is in the model."""

    def draw(report: Any, model: Any, *_: Any, **__: Any) -> Any:
        model.lm_head.weight.data.normal_(0.0, model.config.initializer_range)
        return report

    scene.hits(*scene.tensors("head"))
    scene.after("transformers:PreTrainedModel._finalize_model_loading", draw)
