"""Prompts are padded on the right when they are generated from."""

from __future__ import annotations

import functools
from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="A tokenizer padded on the right by default, so generation went on behind the padding of every shorter "
    "prompt.",
    source="huggingface/transformers #26569; deepspeedai/DeepSpeedExamples #637",
    place="stack",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    names={"write": "decoding_differs"},
)


def strike(scene: Scene) -> None:
    """What comes to `generate` with padding on the left has it on the right."""

    def wrapper(generate: Any) -> Any:
        @functools.wraps(generate)
        def padded(model: Any, *arguments: Any, input_ids: Any, attention_mask: Any, **options: Any) -> Any:
            import torch

            order = attention_mask.argsort(dim=1, descending=True, stable=True)
            ids, mask = (torch.gather(held, 1, order) for held in (input_ids, attention_mask))
            return generate(model, *arguments, input_ids=ids, attention_mask=mask, **options)

        return padded

    scene.patch("transformers.generation.utils:GenerationMixin.generate", wrapper)
