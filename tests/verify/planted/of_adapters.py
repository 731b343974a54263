"""Damage to the adapter's own files: factors under names that mean nothing to PEFT, or for nothing that base has.

The merge is what PEFT would make of what it can read, so what is lost is in neither base nor merged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.verify.adapter_files import PREFIX
from tests.verify.planted.adapters import tensors_of
from tests.verify.planted.models import expert_of, layer_of
from tests.verify.planted.planting import Named, Plant, Planting, before
from tests.verify.planted.storing import stored_name


def renamed(is_meant: Callable[[str], bool], rename: Callable[[str], str]) -> Plant:
    """Factors of sites that are meant, under other names: none of them is merged, and each is to be named."""

    @before("adapter")
    def plant(planting: Planting) -> None:
        tensors = tensors_of(planting.adapter)
        for pair in planting.adapter.pairs:
            if not is_meant(pair.site):
                continue
            del planting.deltas[pair.site]
            for key in [key for key in tensors if key.startswith(f"{PREFIX}{pair.key}.")]:
                tensors[rename(key)] = tensors.pop(key)
                planting.culprits.add(rename(key))
        planting.adapter_tensors = tensors

    return plant


@before("adapter")
def moved_out(planting: Planting) -> None:
    """Factors of one layer's module under the number of a layer that there is not; both are to be named."""
    rename = renamed(lambda site: ".1.self_attn.q_proj" in site, lambda key: key.replace("layers.1.", "layers.11."))
    rename.act(planting)
    planting.culprits = {key for key in planting.culprits if ".lora_A." in key}
    planting.culprits.add("model.layers.1.self_attn.q_proj.weight")


def as_skyrl_names_them(key: str) -> str:
    """Without what PEFT puts before and behind."""
    return key.removeprefix(PREFIX).removesuffix(".weight")


def as_a_linear(key: str) -> str:
    """With the names that PEFT gives to the factors of a Linear."""
    return key.replace("lora_embedding_A", "lora_A.weight").replace("lora_embedding_B", "lora_B.weight")


def is_expert(site: str) -> bool:
    """Whether it is a matrix of an expert."""
    return expert_of(site) is not None


def configured(**changes: Any) -> Plant:
    """adapter_config.json says something else; `...` takes a field out."""

    @before("adapter")
    def plant(planting: Planting) -> None:
        planting.adapter_tensors = tensors_of(planting.adapter)
        planting.adapter_changes = changes

    return plant


@before("adapter")
def not_saying_its_version(planting: Planting) -> None:
    """Nor does anything else say how the factors of fused experts lie: each of them is to be named."""
    configured(peft_version=...).act(planting)
    fused_factors_named.act(planting)


@before("adapter")
def fused_factors_named(planting: Planting) -> None:
    """Nothing is done, and the factors of fused experts are what nothing can be said of."""
    for pair in planting.adapter.pairs:
        if pair.kind == "fused":
            planting.also_named.add(Named(f"{PREFIX}{pair.key}.lora_A.weight", pair.layer, None))


@before("adapter")
def without_gate_and_up(planting: Planting) -> None:
    """target_parameters name two parameters, and one has factors."""
    tensors = tensors_of(planting.adapter)
    planting.adapter_tensors = {key: value for key, value in tensors.items() if ".experts.base_layer." not in key}
    for pair in planting.adapter.pairs:
        if pair.parts == ("gate", "up"):
            planting.culprits.add(pair.key.removesuffix(".base_layer"))
    planting.deltas = {
        site: delta for site, delta in planting.deltas.items() if not is_expert(site) or ".down_proj." in site
    }


def without_a_layer(*, merged: bool) -> Plant:
    """The file lacks all factors of one layer; they are merged all the same, or they are not."""

    @before("adapter")
    def plant(planting: Planting) -> None:
        layer = planting.draw([0, 1])
        tensors = tensors_of(planting.adapter)
        planting.adapter_tensors = {key: each for key, each in tensors.items() if f".layers.{layer}." not in key}
        lost = [site for site in planting.deltas if layer_of(site) == layer]
        if not merged:
            planting.deltas = {site: delta for site, delta in planting.deltas.items() if site not in lost}
        if merged or not planting.setup.base.fused:
            planting.culprits |= {*lost}
        else:
            planting.culprits |= {site for site in lost if not is_expert(site)}
        # What is lacking is told once a stored tensor, which may be of all experts.
        for site in lost if planting.setup.base.fused else []:
            if is_expert(site):
                stored = stored_name(planting.model, site, planting.setup.base)
                planting.also_named.add(Named(stored, layer, None))

    return plant


def without_b(ending: str) -> Plant:
    """lora_B of some modules is what it was before training, all zeros; nothing is added for them."""

    @before("adapter")
    def plant(planting: Planting) -> None:
        tensors = tensors_of(planting.adapter)
        for pair in planting.adapter.pairs:
            if pair.site.endswith(ending) and pair.kind == "linear":
                key = f"{PREFIX}{pair.key}.lora_B.weight"
                tensors[key] = (tensors[key][0], np.zeros_like(tensors[key][1]))
                planting.deltas[pair.site] = np.zeros_like(planting.deltas[pair.site])
        planting.adapter_tensors = tensors

    return plant


@before("adapter")
def with_a_nan(planting: Planting) -> None:
    """Training diverged: one number of lora_B is none, and so is what a merge makes of its row."""
    tensors = tensors_of(planting.adapter)
    pair = planting.draw([pair for pair in planting.adapter.pairs if pair.kind == "linear"])
    key = f"{PREFIX}{pair.key}.lora_B.weight"
    dtype, b = tensors[key]
    row, column = (int(planting.rng.integers(size)) for size in b.shape)
    b = b.copy()
    b[row, column] = np.nan
    tensors[key] = (dtype, b)
    delta = planting.deltas[pair.site].copy()
    delta[row] = np.nan
    planting.deltas[pair.site] = delta
    planting.culprits.add(pair.site)
    planting.adapter_tensors = tensors
