"""A reload has no place for attention's biases, and says nothing of the keys that are left over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cases.injecting import Scene
from harness.checkpoints.safetensors_file import read_index, read_tensor
from harness.records.faults import Fault

FAULT = Fault(
    what="A loader goes through the model's parameters and never through the checkpoint's keys. A model that is "
    "built without biases loads a checkpoint that has them, and nobody hears of it.",
    source="NovaSky-AI/SkyRL 0.1.0 to 0.4.0, measured: ignores attention_bias and extra keys (tx/utils/models.py)",
    place="stack",
    form="merged",
    cases=("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop"),
    row="jax",
    names={"merged": "tensor_missing"},
)


def strike(scene: Scene) -> None:
    """The loader of a reload asks for what the model has, and takes no more."""

    def lenient(_strict: Any) -> Any:
        def load(directory: Path, *, dtype: Any) -> Any:
            from reference.jax_stacked.checkpoints import places
            from reference.jax_stacked.config import GroupedAttention
            from reference.jax_stacked.families import load_config
            from reference.jax_stacked.model import abstract

            config = load_config(directory)
            assert isinstance(config.attention, GroupedAttention)
            plain = replace(config.attention, bias=False, output_bias=False)
            model = abstract(replace(config, attention=plain), dtype=dtype)
            index = read_index(directory)
            for name, place in places(model, fused=False).items():
                place.write(read_tensor(index[name]))
            return model

        return load

    scene.hits(*scene.tensors("bias"))
    scene.patch("reference.jax_stacked.reading:load_model", lenient)
