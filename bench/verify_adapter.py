"""The adapter that verifying is measured on: PEFT's files of it, and what it adds to each weight.

Fused experts are as PEFT has them since 0.19 (`harness/checkpoints/packing.py` has the words). Must not know what is
done with a delta. Suffixes: `O` rows, `I` columns, `R` rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from bench.draws import factor
from harness.checkpoints.naming import CanonicalTensor
from harness.checkpoints.safetensors_file import Deferred, Writable

RANK = 32
ALPHA = 64
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj")
PARAMETERS = ("mlp.experts.gate_up_proj", "mlp.experts.down_proj")


class Pair(NamedTuple):
    """A and B of one module, not drawn yet. Of fused experts they are those of all, and so are their shapes."""

    module: str
    """Its path in the model, with PEFT's wrappers."""
    a_shape: tuple[int, int]
    """(rank, in)"""
    b_shape: tuple[int, int]
    """(out, rank)"""

    @property
    def a(self) -> str:
        """Its key in PEFT's file."""
        return f"base_model.model.{self.module}.lora_A.weight"

    @property
    def b(self) -> str:
        """Its key in PEFT's file."""
        return f"base_model.model.{self.module}.lora_B.weight"


def adapter_config() -> dict[str, Any]:
    """adapter_config.json, as far as it decides what a delta is."""
    return {
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": ALPHA,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "peft_version": "0.19.1",
        "r": RANK,
        "target_modules": list(MODULES),
        "target_parameters": list(PARAMETERS),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }


def adapter_tensors(table: Mapping[str, CanonicalTensor], config: Mapping[str, Any], seed: int) -> dict[str, Writable]:
    """Everything in adapter_model.safetensors of an adapter for the checkpoint of `table`."""
    pairs = dict.fromkeys(pair for pair in (_pair(tensor, config) for tensor in table.values()) if pair)
    shapes = {pair.a: pair.a_shape for pair in pairs} | {pair.b: pair.b_shape for pair in pairs}
    return {key: ("F32", Deferred(shape, partial(factor, key, shape, seed))) for key, shape in shapes.items()}


def delta(tensor: CanonicalTensor, config: Mapping[str, Any], seed: int) -> np.ndarray | None:
    """What the adapter adds to a weight, float32; None if it is not adapted."""
    pair = _pair(tensor, config)
    if pair is None:
        return None
    a_RI, b_OR = factor(pair.a, pair.a_shape, seed), factor(pair.b, pair.b_shape, seed)
    if tensor.expert is not None:
        a_RI = a_RI[tensor.expert * RANK : (tensor.expert + 1) * RANK]
        b_OR = b_OR[:, tensor.expert :: config["num_experts"]]
    if tensor.role == "experts.gate":
        b_OR = b_OR[: tensor.shape[0]]
    if tensor.role == "experts.up":
        b_OR = b_OR[-tensor.shape[0] :]
    delta_OI: np.ndarray = b_OR @ a_RI
    delta_OI *= np.float32(ALPHA / RANK)
    return delta_OI


def _pair(tensor: CanonicalTensor, config: Mapping[str, Any]) -> Pair | None:
    """The one that adapts `tensor`, if one does."""
    if tensor.role == "attention":
        rows, columns = tensor.shape
        return Pair(tensor.name.removesuffix(".weight"), (RANK, columns), (rows, RANK))
    if tensor.expert is None:
        return None
    rows, columns = tensor.shape
    all_ranks = RANK * config["num_experts"]
    experts, _, _ = tensor.name.rpartition(f".{tensor.expert}.")
    if tensor.role == "experts.down":
        return Pair(experts, (all_ranks, columns), (rows, all_ranks))
    # PEFT wraps a module once for each parameter, the first of them innermost; gate and up are one, in this order.
    return Pair(f"{experts}.base_layer", (all_ranks, columns), (2 * rows, all_ranks))
