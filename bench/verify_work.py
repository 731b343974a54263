"""`python -m bench.verify_work DIR`: writes what verifying is measured on: base, adapter, and what they merge to.

A Qwen3-MoE as it is published, only smaller, that transformers and PEFT load. A tensor is made when it is written, so
that memory does not grow with the checkpoint. Must not know how it will be verified: the merge is numpy's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench import draws
from bench.models import PLAIN
from bench.verify_adapter import adapter_config, adapter_tensors, delta
from harness.checkpoints.base import draw
from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, tensor_table
from harness.checkpoints.safetensors_file import Deferred, Writable, round_to, write_checkpoint, write_file
from harness.planning.families import load_family
from harness.records.cases import AdapterSpec, Case, Family

FAMILY_FILE = Path(__file__).parent.parent / "cases" / "families" / "qwen3_moe.toml"
ADAPTER_FILE = "adapter_model.safetensors"
BASE, ADAPTER, MERGED = "base", "adapter", "merged"
"""The three folders."""


class Rounding(StrEnum):
    """How a merge in bfloat16 rounds."""

    SUM = "sum"
    """Base and delta together, once."""
    PEFT = "peft"
    """As PEFT 0.18 to 0.21: of fused experts the delta first (ParamWrapper.get_delta_weight), of the others the sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of the checkpoint."""

    num_layers: int = 12
    num_experts: int = 128
    hidden: int = 1024
    expert_hidden: int = 384
    vocabulary: int = 4096
    num_heads: int = 16
    num_kv_heads: int = 4
    head_dim: int = 64
    shard_bytes: int = 300_000_000


def write_work(directory: Path, size: Size, *, rounding: Rounding = Rounding.SUM, seed: int = 0) -> None:
    """Write the three folders into `directory`, which is made."""
    family = load_family(FAMILY_FILE)
    config = _config(family, size)
    # Layer by layer, as published checkpoints are: the rules of a family give each kind of tensor for all layers.
    tensors = sorted(tensor_table(family, config).values(), key=lambda each: (each.layer is not None, each.layer or 0))
    table = {each.name: each for each in tensors}
    for name in (BASE, ADAPTER, MERGED):
        (directory / name).mkdir(parents=True)
    generation = {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    for name in (BASE, MERGED):
        _write_json(directory / name / "config.json", config)
        _write_json(directory / name / "generation_config.json", {**generation, "do_sample": True, "top_k": 20})
    _write_json(directory / ADAPTER / "adapter_config.json", adapter_config())
    merge = partial(_merged, config=config, rounding=rounding, seed=seed)
    with ThreadPoolExecutor(max_workers=2) as pool:
        writing = [
            pool.submit(_write_weights, directory / MERGED, table, merge, size.shard_bytes),
            pool.submit(_write_weights, directory / BASE, table, partial(_base, seed=seed), size.shard_bytes),
            pool.submit(write_file, directory / ADAPTER / ADAPTER_FILE, adapter_tensors(table, config, seed)),
        ]
    for each in writing:
        each.result()


def _config(family: Family, size: Size) -> dict[str, Any]:
    case = Case(
        name="verified",
        why="to be measured",
        family=family.name,
        dtype="bfloat16",
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention", "experts")),
        config=PLAIN
        | {"num_hidden_layers": size.num_layers, "num_experts": size.num_experts, "vocab_size": size.vocabulary}
        | {"hidden_size": size.hidden, "moe_intermediate_size": size.expert_hidden, "head_dim": size.head_dim}
        | {"num_attention_heads": size.num_heads, "num_key_value_heads": size.num_kv_heads},
    )
    return effective_config(family, case)


def _write_weights(
    directory: Path,
    table: Mapping[str, CanonicalTensor],
    values: Callable[[CanonicalTensor], np.ndarray],
    shard_bytes: int,
) -> None:
    tensors: dict[str, Writable] = {
        name: ("BF16", Deferred(tensor.shape, partial(values, tensor))) for name, tensor in table.items()
    }
    write_checkpoint(directory, tensors, shard_bytes=shard_bytes)


def _base(tensor: CanonicalTensor, seed: int) -> np.ndarray:
    return draws.weight(tensor.name, tensor.shape, seed) if tensor.init == "normal" else draw(tensor, seed)


def _merged(tensor: CanonicalTensor, config: Mapping[str, Any], rounding: Rounding, seed: int) -> np.ndarray:
    """Still to be rounded, as it is when it is written."""
    base, added = _base(tensor, seed), delta(tensor, config, seed)
    if added is None:
        return base
    if rounding is Rounding.PEFT and tensor.expert is not None:
        added = round_to("bfloat16", added)
    added += base  # numbers of bfloat16 already
    return added


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def main(
    directory: Annotated[Path, typer.Argument(help="Where the three folders are made.")],
    layers: Annotated[int, typer.Option(help="How many.")] = Size().num_layers,
    shard_bytes: Annotated[int, typer.Option(help="Of a file at most.")] = Size().shard_bytes,
    rounding: Annotated[Rounding, typer.Option(help="Of the merge.")] = Rounding.SUM,
    seed: Annotated[int, typer.Option(help="Other numbers.")] = 0,
) -> None:
    """Write base, adapter and merged."""
    write_work(directory, Size(num_layers=layers, shard_bytes=shard_bytes), rounding=rounding, seed=seed)


if __name__ == "__main__":
    typer.run(main)
