"""Adapters written by hand: a configuration as PEFT saves it, factors by the names that it gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.safetensors_file import write_file

PREFIX = "base_model.model."
ATTENTION = "model.layers.0.self_attn.q_proj"
EXPERTS = "model.layers.0.mlp.experts"

Tensors = dict[str, tuple[str, np.ndarray]]


def config(**changes: Any) -> dict[str, Any]:
    """A configuration of rank 2 and alpha 8 that targets q_proj, with `changes`; `...` takes a field out."""
    fields = {
        "peft_type": "LORA",
        "r": 2,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "bias": "none",
        "base_model_name_or_path": "somebody/tiny",
        "peft_version": "0.19.1",
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not ...}


def tensor(*shape: int, dtype: str = "F32") -> tuple[str, np.ndarray]:
    """Numbers that are not zero."""
    return dtype, np.arange(1, 1 + int(np.prod(shape)), dtype=np.float32).reshape(shape)


def factors(
    module: str = ATTENTION, *, rank: int = 2, rows: int = 6, columns: int = 5, prefix: str = PREFIX
) -> Tensors:
    """lora_A (rank, columns) and lora_B (rows, rank) of a module."""
    return {
        f"{prefix}{module}.lora_A.weight": tensor(rank, columns),
        f"{prefix}{module}.lora_B.weight": tensor(rows, rank),
    }


def write_adapter(directory: Path, tensors: Tensors | None = None, **changes: Any) -> Path:
    """An adapter's directory with `tensors`, or one pair, and `config(**changes)`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "adapter_config.json").write_text(json.dumps(config(**changes)), encoding="utf-8")
    write_file(directory / "adapter_model.safetensors", factors() if tensors is None else tensors)
    return directory
