"""Loads a base as the comparison wants it: float32, eager attention, and not a key amiss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM


def load(base: Path) -> Any:
    """The checkpoint in `base`. Raises ValueError if it and the model do not have the same tensors."""
    model, info = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    if wrong := {kind: sorted(map(str, keys)) for kind, keys in info.items() if keys}:
        raise ValueError(f"{base} and the model do not have the same tensors: {wrong}")
    return model.eval()
