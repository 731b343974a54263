"""Damage to files: tensors that are lost, added, stored otherwise; old shards; what lies beside the weights.

Each says itself which tensors are to be named. Damage to tensors is done before they are written, the rest on disk.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.safetensors_file import INDEX_FILE, write_file
from tests.verify.companions.builders import edit
from tests.verify.planted import storing
from tests.verify.planted.merging import Dtype, merged_values, rounded, stored_dtype
from tests.verify.planted.of_values import Choice
from tests.verify.planted.planting import EMBEDDING, Named, Plant, Planting, before

HEAD = "lm_head.weight"


def lost(choose: Choice) -> Plant:
    """These tensors are not written."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        for site in choose(planting):
            del planting.tensors[site]
            planting.culprits.add(site)

    return plant


@before("tensors")
def added(planting: Planting) -> None:
    """A tensor that base does not have."""
    name = "model.layers.0.self_attn.rotary_emb.inv_freq_scale"
    planting.tensors[name] = ("F32", np.ones(7, np.float32))
    planting.culprits.add(name)


@before("tensors")
def wrapped(planting: Planting) -> None:
    """All names of one layer with what PEFT puts before them."""
    for name in [name for name in planting.tensors if ".layers.1." in name]:
        planting.tensors[f"base_model.model.{name}"] = planting.tensors.pop(name)
        planting.culprits |= {name, f"base_model.model.{name}"}


def stored_in(choose: Choice, dtype: Dtype) -> Plant:
    """These tensors in another dtype."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        for site in choose(planting):
            planting.tensors[site] = (dtype, rounded(dtype, planting.tensors[site][1]))
            planting.culprits.add(site)

    return plant


def all_stored_in(dtype: Dtype, *, stated: bool) -> Plant:
    """The whole checkpoint in another dtype, which the configuration says, or does not."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        for name, (_, values) in planting.tensors.items():
            kept = stored_dtype(name, dtype)
            planting.tensors[name] = (kept, rounded(kept, values))
        if stated:
            planting.config = {"torch_dtype": storing.NAMES[dtype]}
        else:
            planting.culprits |= set(planting.tensors)

    return plant


def all_merged_in(dtype: Dtype) -> Plant:
    """The base was loaded in another dtype, merged there, and stored so, as the configuration says."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        base = {site: rounded(stored_dtype(site, dtype), values) for site, values in planting.base.items()}
        values = merged_values(base, planting.adapter, planting.deltas, dtype, planting.setup.way)
        planting.tensors = storing.tensors_of(planting.model, values, dtype, planting.setup.merged)
        planting.config = {"torch_dtype": storing.NAMES[dtype]}

    return plant


def padded(*names: str, stated: bool) -> Plant:
    """Rows of zeros behind the vocabulary, up to the next multiple of 16."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        for name in names:
            dtype, values = planting.tensors[name]
            planting.tensors[name] = (dtype, np.pad(values, ((0, -len(values) % 16), (0, 0))))
            planting.culprits.add(name)
            if stated:
                planting.config = {"vocab_size": len(values) + -len(values) % 16}

    return plant


def turned(choose: Choice) -> Plant:
    """These matrices are stored (in, out)."""

    @before("tensors")
    def plant(planting: Planting) -> None:
        for site in choose(planting):
            dtype, values = planting.tensors[site]
            planting.tensors[site] = (dtype, np.ascontiguousarray(values.T))
            planting.culprits.add(site)

    return plant


@before("tensors")
def tied(planting: Planting) -> None:
    """The head is left out, and the configuration says that the embedding is the head."""
    del planting.tensors[HEAD]
    planting.config = {"tie_word_embeddings": True}
    planting.culprits.add(HEAD)


@before("tensors")
def untied(planting: Planting) -> None:
    """The configuration says that the head is a tensor of its own, and there is none."""
    planting.config = {"tie_word_embeddings": False}
    planting.culprits.add(HEAD)


@before("tensors")
def taken_along(planting: Planting) -> None:
    """Nothing more: PEFT trains a tied embedding for what goes in alone, and merged it is the head too."""
    planting.culprits.add(EMBEDDING)


@before("tensors")
def with_a_head_of_its_own(planting: Planting) -> None:
    """A tied model, untied: the head is base's embedding, which adapting the embedding did not train."""
    planting.tensors[HEAD] = (planting.dtype, planting.base[EMBEDDING])
    planting.config = {"tie_word_embeddings": False}


@before("tensors")
def head_beside_the_embedding(planting: Planting) -> None:
    """A tied model's embedding as base had it, stored as its head."""
    planting.tensors[HEAD] = (planting.dtype, planting.base[EMBEDDING])
    planting.culprits.add(HEAD)


@before("tensors")
def twice(planting: Planting) -> None:
    """An expert as it was beside the fused experts."""
    experts = planting.model.experts
    assert experts is not None, "this is for experts"
    site = experts.site(1, 2, "down")
    planting.tensors[site] = (planting.dtype, planting.base[site])
    planting.culprits.add(site)
    planting.also_named.add(Named(storing.stored_name(planting.model, site, planting.setup.merged), 1, 2))


@before("tensors")
def fused_too(planting: Planting) -> None:
    """A layer's experts as they were, fused, beside the same experts one by one: to be named by the fused tensors."""
    everything = storing.tensors_of(planting.model, planting.base, planting.dtype, storing.Shape(fused=True))
    layer = planting.draw([0, 1])
    for name in [name for name in everything if f".{layer}." in name and name not in planting.tensors]:
        planting.tensors[name] = everything[name]
        planting.also_named.add(Named(name, layer, None))


@before("tensors")
def quantised(planting: Planting) -> None:
    """The attention in eight bits, with a scale beside each matrix."""
    for name in [name for name in planting.tensors if name.endswith("_proj.weight") and "self_attn" in name]:
        values = planting.tensors[name][1]
        scale = np.abs(values).max() / 127
        planting.tensors[name] = ("I8", np.round(values / scale).astype(np.int8))
        planting.tensors[f"{name}_scale"] = ("F32", np.array([scale], np.float32))
        planting.culprits.add(name)
    planting.config = {"quantization_config": {"quant_method": "compressed-tensors", "bits": 8}}


@before("files")
def shard_of_base(planting: Planting) -> None:
    """One file of several was never written over."""
    directory = planting.directory
    index = json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))
    files = sorted(set(index["weight_map"].values()))
    chosen = planting.draw(files[1:])
    base = storing.tensors_of(planting.model, planting.base, planting.dtype, planting.setup.merged)
    names = [name for name, file in index["weight_map"].items() if file == chosen]
    write_file(directory / chosen, {name: base[name] for name in names})
    planting.culprits |= {name for name in names if name in planting.deltas}


def in_config(**fields: Any) -> Plant:
    """The configuration says something else; `...` takes a field out."""
    return in_file("config.json", **fields)


def in_file(name: str, **fields: Any) -> Plant:
    """Fields of a file beside the weights are others."""

    def change(content: dict[str, Any]) -> None:
        for field, value in fields.items():
            if value is ...:
                content.pop(field)
            else:
                content[field] = value

    return on_disk(lambda directory: edit(directory / name, change))


def without(*names: str) -> Plant:
    """Files beside the weights are not there."""

    def remove(directory: Path) -> None:
        for name in names:
            (directory / name).unlink()

    return on_disk(remove)


def on_disk(change: Callable[[Path], object]) -> Plant:
    """What is done to the directory."""

    @before("files")
    def plant(planting: Planting) -> None:
        change(planting.directory)

    return plant


@before("files")
def vocabulary_renumbered(planting: Planting) -> None:
    """Two tokens have each other's number."""

    def change(content: dict[str, Any]) -> None:
        vocabulary = content["model"]["vocab"]
        vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]

    edit(planting.directory / "tokenizer.json", change)


@before("files")
def unlisted(planting: Planting) -> None:
    """The index does not know one of the tensors, so that a loader draws it anew."""

    def change(content: dict[str, Any]) -> None:
        chosen = planting.draw(sorted(planting.deltas))
        planting.culprits.add(chosen)
        content["weight_map"].pop(chosen)

    edit(planting.directory / INDEX_FILE, change)


@before("files")
def left_over(planting: Planting) -> None:
    """A shard of an earlier, longer series."""
    name = "model-00009-of-00009.safetensors"
    write_file(planting.directory / name, {HEAD: (planting.dtype, planting.base[HEAD])})
