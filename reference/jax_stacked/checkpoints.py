"""Hugging Face safetensors into a model and out of it: strict about names and shapes, a tensor at a time.

Variables are called as transformers calls its parameters, so a name is a path and no family has a table of its own.
What differs is said once, in `places`: a kernel is a weight transposed, and experts are stored one by one or fused.
Suffixes: `E` experts, `F` expert width.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx

from harness.checkpoints.safetensors_file import Deferred, read_index, read_tensor, write_checkpoint
from harness.errors import ArtifactError
from reference.jax_stacked.families import load_config
from reference.jax_stacked.lora import LoraSpec
from reference.jax_stacked.model import NO_LORA, CausalLM, abstract
from reference.jax_stacked.stacked import ArrayRef, unstack_state

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
STORED = {"float32": "F32", "bfloat16": "BF16"}
NOT_WEIGHTS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
"""What a merged checkpoint takes over from its base as it is."""


class Place(NamedTuple):
    """Where in the model a stored tensor belongs."""

    view: ArrayRef
    part: tuple[Any, ...]
    """Index into the view; all of it if empty."""
    transposed: bool
    """True: the last two axes are stored the other way round (weights are (out, in), kernels (in, out))."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As stored."""
        shape = np.broadcast_to(np.bool_(), self.view.shape)[self.part].shape
        return (*shape[:-2], shape[-1], shape[-2]) if self.transposed else shape

    def read(self) -> np.ndarray:
        """The values as they are to be stored, float32."""
        values = np.asarray(self.view.read(self.part).astype(jnp.float32))
        return values.swapaxes(-1, -2) if self.transposed else values

    def write(self, values: np.ndarray) -> None:
        """Put stored values where they belong."""
        self.view.write(values.swapaxes(-1, -2) if self.transposed else values, self.part)


def load_model(directory: Path, *, lora: LoraSpec = NO_LORA, dtype: jnp.dtype = jnp.float32) -> CausalLM:
    """The model in `directory`, with room for adapters. Raises ArtifactError for what does not fit, by name."""
    model = abstract(load_config(directory), lora=lora, dtype=dtype)
    load_weights(model, directory)
    return model


def load_weights(model: CausalLM, directory: Path) -> None:
    """Fill `model` from the checkpoint in `directory`, one stored tensor in memory at a time.

    Every variable must be stored and every stored tensor must have a place; else ArtifactError names those that do not.
    """
    index = read_index(directory)
    wanted = places(model, fused=any(name.endswith(".mlp.experts.down_proj") for name in index))
    _complain("tensors are missing", set(wanted) - set(index), directory)
    unexpected = set(index) - set(wanted)
    if model.config.tied and HEAD in unexpected:
        _check_tied(read_tensor(index[HEAD]), read_tensor(index[EMBEDDING]), directory)
        unexpected.remove(HEAD)
    _complain("tensors have no place in the model", unexpected, directory)
    misshapen = {
        f"{name} {index[name].shape} instead of {place.shape}"
        for name, place in wanted.items()
        if index[name].shape != place.shape
    }
    _complain("tensors have another shape than the configuration says", misshapen, directory)
    for name, place in wanted.items():
        place.write(read_tensor(index[name]))


def save_model(
    model: CausalLM, directory: Path, *, base: Path, fused: bool = False, shard_bytes: int | None = None
) -> None:
    """Write the base weights of `model` as a checkpoint of its dtype, beside what `base` says of everything else."""
    stored = {
        name: (STORED[str(place.view.dtype)], Deferred(place.shape, place.read))
        for name, place in places(model, fused=fused).items()
    }
    write_checkpoint(directory, stored, shard_bytes=shard_bytes)
    for name in NOT_WEIGHTS:
        if (base / name).exists():
            shutil.copyfile(base / name, directory / name)


def places(model: CausalLM, *, fused: bool) -> dict[str, Place]:
    """Every stored tensor's name to its place, for a checkpoint whose experts are `fused` or one by one."""
    found: dict[str, Place] = {}
    for path, view in unstack_state(model, nnx.Param).items():
        *module, leaf = path
        name = ".".join(module)
        if leaf == "kernel" and module[-2:-1] == ["experts"]:
            found |= {name: Place(view, (), True)} if fused else _single_experts(module, view)
        elif leaf in ("kernel", "embedding"):
            found[f"{name}.weight"] = Place(view, (), leaf == "kernel")
        else:
            found[f"{name}.{leaf}"] = Place(view, (), False)
    return found


def _single_experts(module: list[str], view: ArrayRef) -> Mapping[str, Place]:
    """The places of a layer's experts one by one: `….3.gate_proj.weight` is a part of `….gate_up_proj`."""
    *before, projection = module
    num_experts, _, num_out = view.shape
    parts = {"down_proj": slice(None)}
    if projection == "gate_up_proj":
        parts = {"gate_proj": slice(0, num_out // 2), "up_proj": slice(num_out // 2, num_out)}
    prefix = ".".join(before)
    return {
        f"{prefix}.{expert}.{part}.weight": Place(view, (expert, slice(None), columns), True)
        for expert in range(num_experts)
        for part, columns in parts.items()
    }


def _check_tied(head: np.ndarray, embedding: np.ndarray, directory: Path) -> None:
    if not np.array_equal(head, embedding):
        raise ArtifactError(
            "the head is tied to the embedding, and stored with other values", where=f"{directory}: {HEAD}"
        )


def _complain(what: str, names: Iterable[str], directory: Path) -> None:
    listed = sorted(names)
    if listed:
        shown = ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
        raise ArtifactError(f"{len(listed)} {what}", where=str(directory), got=shown)
