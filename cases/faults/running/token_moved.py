"""Two tokens of the saved tokenizer have each other's number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A tokenizer was built anew from its vocabulary and numbered in another order: every file is there, and "
    "texts become other tokens than the model was trained on.",
    source="measured: docs/facts.md (transformers 5.23 builds a tokenizer of its own from the vocabulary)",
    place="artifact",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "tokenizer_changed", "verify": "tokenizer_changed"},
)


def strike(scene: Scene) -> None:
    """Two that are not special."""

    def exchange(directory: Path) -> None:
        def edit(content: dict[str, Any]) -> None:
            added = {token["content"] for token in content["added_tokens"]}
            vocabulary = content["model"]["vocab"]
            first, second = scene.draw.sample(sorted(set(vocabulary) - added), 2)
            vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]

        scene.edit_json(directory / "tokenizer.json", edit)

    scene.hits_field("tokenizer")
    scene.merged_saved(exchange)
