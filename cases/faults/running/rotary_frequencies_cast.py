"""The frequencies of rotary embeddings are rounded to bfloat16 on a reload."""

from __future__ import annotations

from typing import Any

from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Casting a whole model casts its buffers too. inv_freq is in no checkpoint, so nothing puts it right, and "
    "a later cast to float32 does not either; buffers are also cast by themselves where mixed precision names "
    "a dtype for them.",
    source="NVIDIA-NeMo/Automodel #2549; okoge-kaz/llm-recipes #6; huggingface/transformers #30709",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop", "llama-float32-loop"),
    names={"merged": "config_changed"},
)


def strike(scene: Scene) -> None:
    """Once the model is loaded."""

    def cast(loaded: Any, *_: Any) -> Any:
        import torch

        for name, buffer in loaded[0].named_buffers():
            if name.endswith("inv_freq"):
                buffer.data = buffer.data.to(torch.bfloat16)
        return loaded

    scene.hits_field("rotary_frequencies")
    scene.after("reference.torch_peft.loading:load_model", cast)
