"""Writing checkpoints' directories: an expert a tensor or all of a layer's in one, whole or in shards, with or without
prefix, and the files beside them. Knows no adapters.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.safetensors_file import write_checkpoint
from tests.verify.companions.builders import GENERATION, PIPELINE, SPECIAL, TOKENIZER_CONFIG
from tests.verify.planted.merging import Dtype, stored_dtype
from tests.verify.planted.models import PROJECTIONS, Experts, Model, expert_of, layer_of

Tensors = dict[str, tuple[str, np.ndarray]]
NAMES: Mapping[str, str] = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a checkpoint lies in its directory, which changes no weight of it."""

    fused: bool = False
    shard_bytes: int | None = None
    prefix: str | None = None
    """Instead of the model's own."""
    backwards: bool = False
    """Tensors in the other order, and so in other shards."""


PLAIN = Shape()


def tensors_of(model: Model, values: Mapping[str, np.ndarray], dtype: Dtype, shape: Shape = PLAIN) -> Tensors:
    """The tensors of the files, by their names there."""
    held = dict(values)
    if model.experts is not None and (shape.fused or model.experts.turned):
        for layer in model.experts.layers:
            _fuse(held, model.experts, layer)
    order = list(held)[::-1] if shape.backwards else list(held)
    return {stored_name(model, name, shape): (stored_dtype(name, dtype), held[name]) for name in order}


def _fuse(held: dict[str, np.ndarray], experts: Experts, layer: int) -> None:
    """Put a layer's experts into two parameters, in place; those that are not there make none."""
    stacks = {
        part: [held.pop(experts.site(layer, expert, part), None) for expert in range(experts.num)]
        for part in PROJECTIONS
    }
    gate, up, down = (np.stack(stack) for stack in stacks.values())  # type: ignore[arg-type]
    module = experts.module(layer)
    if experts.turned:
        joined = np.stack([gate, up], axis=2).reshape(experts.num, -1, gate.shape[2])
        held[f"{module}.gate_up_proj"] = joined.transpose(0, 2, 1)
        held[f"{module}.down_proj"] = down.transpose(0, 2, 1)
    else:
        held[f"{module}.gate_up_proj"] = np.concatenate([gate, up], axis=1)
        held[f"{module}.down_proj"] = down


def stored_name(model: Model, site: str, shape: Shape = PLAIN) -> str:
    """The tensor of the files that holds this site, which is all the experts' where they are fused."""
    prefix = model.prefix if shape.prefix is None else shape.prefix
    experts = model.experts
    if experts is not None and expert_of(site) is not None and (shape.fused or experts.turned):
        layer = layer_of(site)
        assert layer is not None, "experts are in layers"
        leaf = "down_proj" if f".{experts.names['down']}." in site else "gate_up_proj"
        site = f"{experts.module(layer)}.{leaf}"
    return prefix + site.removeprefix("model.") if site.startswith("model.") else site


def config_of(model: Model, dtype: Dtype) -> dict[str, Any]:
    """The checkpoint's config.json."""
    return {**model.config, "torch_dtype": NAMES[dtype]}


def write(directory: Path, model: Model, tensors: Tensors, dtype: Dtype, shape: Shape = PLAIN, **config: Any) -> Path:
    """The whole directory; `config`: fields that its config.json has otherwise."""
    directory.mkdir(parents=True)
    files = {
        "config.json": {**config_of(model, dtype), **config},
        "generation_config.json": GENERATION,
        "tokenizer.json": PIPELINE,
        "tokenizer_config.json": TOKENIZER_CONFIG,
        "special_tokens_map.json": SPECIAL,
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    write_checkpoint(directory, tensors, shard_bytes=shape.shard_bytes)
    return directory
