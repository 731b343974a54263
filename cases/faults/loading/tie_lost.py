"""A reload does not find the flag that ties the head to the embedding, and draws a head."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="tie_word_embeddings was looked for at one level of the configuration and stood at another. A tied head is "
    "not stored, so that the untied one was left as it had been drawn.",
    source="huggingface/transformers #43429 (Mistral 3: gibberish), #45857 (not lifted from text_config)",
    place="stack",
    form="merged",
    cases=("qwen3-float32-loop-tied", "qwen3-bfloat16-loop-tied"),
    names={"merged": "config_changed"},
)


def strike(scene: Scene) -> None:
    """config.json is read without it."""

    def untie(config: Any) -> None:
        config.tie_word_embeddings = False

    scene.hits_field("tie_word_embeddings")
    scene.config_read(untie)
