"""The loss is divided by its tokens, and then by the sequences as well."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A trainer divided a loss by the size of the batch that had been divided already. Adam does not feel the "
    "scale, so weights and samples are what they should be, and clipping, logs and comparisons are not.",
    source="huggingface/transformers #34191, #35203, #35438: losses and gradients scaled by the wrong count",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "loss_wrong"},
)


def strike(scene: Scene) -> None:
    """The mean over tokens, over the number of sequences."""
    from reference.data import NUM_SEQUENCES

    def again(loss: Any, *_: Any, **__: Any) -> Any:
        return loss / NUM_SEQUENCES

    scene.after("transformers.loss.loss_utils:fixed_cross_entropy", again)
