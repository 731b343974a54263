"""Damage to what is added: deltas that are missing, scaled, turned, another's, or taken apart in another way.

A change of one delta is a function of the merge and a site; `everywhere` makes damage of it. What moves deltas between
sites is damage by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.verify.planted.adapters import draw
from tests.verify.planted.merging import Reading, deltas_of, pair_deltas, rounded
from tests.verify.planted.models import PROJECTIONS, Part, Weights, expert_of, layer_of
from tests.verify.planted.planting import Plant, Planting, Scope, before

Change = Callable[[Planting, str], np.ndarray]
Order = Callable[[np.random.Generator, int], list[int]]
"""Of so many experts: whose each of them gets."""


def everywhere(scope: Scope, change: Change) -> Plant:
    """The change at every adapted site of one place."""

    @before("deltas")
    def plant(planting: Planting) -> None:
        planting.deltas |= {site: change(planting, site) for site in planting.sites(scope)}

    return plant


def missing(planting: Planting, site: str) -> np.ndarray:
    """Nothing is added."""
    return np.zeros_like(planting.deltas[site])


def scaled(factor: float) -> Change:
    """As if the scaling were another."""
    return lambda planting, site: planting.deltas[site] * factor


def by_rank(planting: Planting, site: str) -> np.ndarray:
    """alpha, where it should be alpha / r."""
    return planting.deltas[site] * planting.setup.recipe.rank


def by_all_ranks(planting: Planting, site: str) -> np.ndarray:
    """alpha / (r E): the rank is taken from the shape of the fused factors."""
    experts = planting.model.experts
    assert experts is not None, "this is for experts"
    return planting.deltas[site] / experts.num


def without_root(planting: Planting, site: str) -> np.ndarray:
    """alpha / r, where rsLoRA has alpha / sqrt(r)."""
    return planting.deltas[site] / math.sqrt(planting.setup.recipe.rank)


def with_root(planting: Planting, site: str) -> np.ndarray:
    """alpha / sqrt(r), where there is no rsLoRA."""
    return planting.deltas[site] * math.sqrt(planting.setup.recipe.rank)


@before("deltas")
def without_patterns(planting: Planting) -> None:
    """Every scaling is that of the configuration's own rank and alpha: rank_pattern and alpha_pattern are not read."""
    recipe = planting.setup.recipe
    common = recipe.alpha / recipe.rank
    for pair in planting.adapter.pairs:
        for site, delta in pair_deltas(planting.model, planting.adapter, pair, planting.setup.way):
            planting.deltas[site] = delta * (common / pair.scaling)


def of_another_layer(planting: Planting, site: str) -> np.ndarray:
    """The next layer's delta for the same place."""
    layers = sorted({layer for each in planting.deltas if (layer := layer_of(each)) is not None})
    layer = layer_of(site)
    assert layer is not None, "this is for layers"
    following = layers[(layers.index(layer) + 1) % len(layers)]
    return _clean(planting)[site.replace(f"layers.{layer}.", f"layers.{following}.")]


def of_another_adapter(planting: Planting, site: str) -> np.ndarray:
    """The same configuration, trained on something else."""
    return _others(planting)[site]


def of_an_earlier_step(planting: Planting, site: str) -> np.ndarray:
    """Most of the delta, and something that training has since turned away from."""
    return 0.9 * planting.deltas[site] + 0.1 * _others(planting)[site]


def transposed(planting: Planting, site: str) -> np.ndarray:
    """A square matrix added the other way round."""
    return planting.deltas[site].T


def without_a_row(planting: Planting, site: str) -> np.ndarray:
    """One output misses its delta."""
    delta = planting.deltas[site].copy()
    delta[int(planting.rng.integers(len(delta)))] = 0
    return delta


def without_a_column(planting: Planting, site: str) -> np.ndarray:
    """One input misses its delta."""
    delta = planting.deltas[site].copy()
    delta[:, int(planting.rng.integers(delta.shape[1]))] = 0
    return delta


def half_the_rows(planting: Planting, site: str) -> np.ndarray:
    """One shard of two, of a model that was spread over two devices."""
    delta = planting.deltas[site].copy()
    delta[len(delta) // 2 :] = 0
    return delta


def half_the_columns(planting: Planting, site: str) -> np.ndarray:
    """The same of a matrix that was spread the other way."""
    delta = planting.deltas[site].copy()
    delta[:, delta.shape[1] // 2 :] = 0
    return delta


def half_the_ranks(planting: Planting, site: str) -> np.ndarray:
    """The first components of the product alone, as where factors are cut to a smaller rank."""
    pair = next(pair for pair in planting.adapter.pairs if pair.site == site)
    keep = pair.rank // 2
    product: np.ndarray = pair.b[:, :keep].astype(np.float64) @ pair.a[:keep]
    return product * pair.scaling


@before("deltas")
def by_rank_one(planting: Planting) -> None:
    """The rank was looked for where there is none and taken for 1: expert e gets the e-th of all components."""
    experts = planting.model.experts
    assert experts is not None, "this is for experts"
    for pair in planting.adapter.pairs:
        if pair.kind == "fused":
            alone = replace(pair, a=np.zeros_like(pair.a), b=np.zeros_like(pair.b))
            for expert in range(experts.num):
                alone.a[expert * pair.rank] = pair.a[expert]
                alone.b[:, expert] = pair.b[:, expert]
            planting.deltas |= pair_deltas(planting.model, planting.adapter, alone)


def mostly_another_experts(planting: Planting, site: str) -> np.ndarray:
    """Another expert's delta, and something else that is half as large."""
    expert, experts = expert_of(site), planting.model.experts
    assert expert is not None and experts is not None, "this is for experts"
    other = site.replace(f".experts.{expert}.", f".experts.{(expert + 1) % experts.num}.")
    return _clean(planting)[other] + 0.5 * _others(planting)[site]


def in_bfloat16(planting: Planting, site: str) -> np.ndarray:
    """The product was made in bfloat16."""
    return rounded("BF16", planting.deltas[site])


def misread(reading: Reading, *, layer: int | None = None, parts: tuple[Part, ...] = ()) -> Plant:
    """The factors of fused experts taken apart in another way; of one layer or one parameter, if these are given."""

    @before("deltas")
    def plant(planting: Planting) -> None:
        for pair in planting.adapter.pairs:
            if pair.kind == "fused" and layer in (None, pair.layer) and parts in ((), pair.parts):
                way = planting.setup.way
                planting.deltas |= pair_deltas(planting.model, planting.adapter, pair, way, reading)

    return plant


def moved(order: Order, *parts: Part, layer: int | None = None) -> Plant:
    """Deltas given to other experts of the same layer."""

    @before("deltas")
    def plant(planting: Planting) -> None:
        planting.deltas |= reassigned(planting, planting.deltas, order, parts, layer)

    return plant


def reassigned(
    planting: Planting, held: Weights, order: Order, parts: tuple[Part, ...] = (), layer: int | None = None
) -> Weights:
    """What each expert is given of `held`: expert e what `order[e]` has; of some parts or one layer, if said."""
    experts = planting.model.experts
    assert experts is not None, "this is for experts"
    sources = order(planting.rng, experts.num)
    return {
        experts.site(place, expert, part): held[experts.site(place, source, part)]
        for place in (experts.layers if layer is None else (layer,))
        for part in parts or PROJECTIONS
        for expert, source in enumerate(sources)
    }


def shifted(rng: np.random.Generator, num: int) -> list[int]:
    """Each has its neighbour's."""
    return [*range(1, num), 0]


def exchanged(rng: np.random.Generator, num: int) -> list[int]:
    """Two have each other's."""
    first, second = rng.choice(num, 2, replace=False)
    order = list(range(num))
    order[first], order[second] = order[second], order[first]
    return order


def shuffled(rng: np.random.Generator, num: int) -> list[int]:
    """None has its own."""
    while True:
        order = [int(number) for number in rng.permutation(num)]
        if all(expert != source for expert, source in enumerate(order)):
            return order


def by_text(rng: np.random.Generator, num: int) -> list[int]:
    """As names are sorted: 0, 1, 10, 11, 2."""
    return sorted(range(num), key=str)


def gate_and_up_swapped(scope: Scope) -> Plant:
    """Each gets the other's delta."""

    @before("deltas")
    def plant(planting: Planting) -> None:
        planting.deltas |= exchanged_with_its_like(planting, planting.deltas, scope)

    return plant


def exchanged_with_its_like(planting: Planting, held: Weights, scope: Scope) -> Weights:
    """What gate and up are given of `held`: what the other has."""
    pairs = {site: counterpart(planting, site) for site in planting.sites(scope)}
    return {site: held[other] for site, other in pairs.items() if other is not None}


def counterpart(planting: Planting, site: str) -> str | None:
    """Up's site for gate's, and gate's for up's; of an expert or of a dense block."""
    names = planting.model.experts.names if planting.model.experts and expert_of(site) is not None else PROJECTIONS
    module, _, leaf = site.removesuffix(".weight").rpartition(".")
    for one, other in (("gate", "up"), ("up", "gate")):
        if leaf == names[one]:  # type: ignore[index]
            return f"{module}.{names[other]}.weight"  # type: ignore[index]
    return None


def _clean(planting: Planting) -> Weights:
    return deltas_of(planting.model, planting.adapter, planting.setup.way)


def _others(planting: Planting) -> Weights:
    recipe = replace(planting.setup.recipe, seed=planting.setup.recipe.seed + 1)
    return deltas_of(planting.model, draw(planting.model, recipe), planting.setup.way)
