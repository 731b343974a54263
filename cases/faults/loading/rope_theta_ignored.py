"""A reload computes with the default base of rotary embeddings."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="rope_theta moved into rope_parameters, a reader looked where it used to be, and took 10000.",
    source="huggingface/transformers 5 -> 4.57, measured: docs/facts.md (KL 0.042, silent)",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"merged": "config_changed"},
)


def strike(scene: Scene) -> None:
    """config.json is read without it."""

    def forget(read: Any, *_: Any, **__: Any) -> Any:
        config = read[0] if isinstance(read, tuple) else read
        config.rope_parameters = {**config.rope_parameters, "rope_theta": 10000.0}
        return read

    scene.hits_field("rope_theta")
    scene.after("transformers:PretrainedConfig.from_dict", forget)
