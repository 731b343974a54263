"""One merge on its way to disk, and the places where it can be spoilt: what is added, what it gives, what is written.

Owns the order of the steps and the choice of a place from a seed. Whose delta, value or tensor differs from the right
one's is found by comparing, so no catalogue has to say it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tests.verify.adapter_files import Tensors
from tests.verify.planted import storing
from tests.verify.planted.adapters import DEFAULT, Adapter, Recipe, draw
from tests.verify.planted.families import model
from tests.verify.planted.merging import PEFTS_WAY, Dtype, Way, base_values, deltas_of, merged_values
from tests.verify.planted.models import Model, Weights, expert_of, layer_of

Scope = Literal["one", "linear", "expert", "layer", "last layer", "experts", "attention", "all"]
"""Where: one adapted matrix, one that is no expert's, all of one expert, all of a layer, all experts, all others."""
EMBEDDING = "model.embed_tokens.weight"
Stage = Literal["adapter", "deltas", "values", "tensors", "files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is merged, and how base and merged lie on disk."""

    model: str = "qwen3_moe"
    recipe: Recipe = DEFAULT
    base: storing.Shape = storing.PLAIN
    merged: storing.Shape = storing.PLAIN
    way: Way = PEFTS_WAY


class Named(NamedTuple):
    """What is told of a place."""

    tensor: str
    layer: int | None
    expert: int | None


@dataclass(slots=True, kw_only=True)
class Planting:
    """A merge of which every step can still be changed."""

    setup: Setup
    dtype: Dtype
    rng: np.random.Generator
    model: Model
    adapter: Adapter
    base: Weights
    deltas: Weights
    """What is added: by site."""
    right: Weights = field(default_factory=dict)
    """What a right merge stores: by site."""
    values: Weights = field(default_factory=dict)
    """What is stored: by site."""
    tensors: storing.Tensors = field(default_factory=dict)
    """What is written: by name in the file."""
    directory: Path = Path()
    config: dict[str, Any] = field(default_factory=dict)
    """Fields of config.json that differ from base's."""
    culprits: set[str] = field(default_factory=set)
    """Sites, or tensors of files: those of deltas and values are found by comparing, others say themselves."""
    also_named: set[Named] = field(default_factory=set)
    """What is to be named where a place's own name does not tell how."""
    adapter_tensors: Tensors | None = None
    """Of the adapter's file, if they are not what the adapter is."""
    adapter_changes: dict[str, Any] = field(default_factory=dict)
    """Of the adapter's configuration."""

    @property
    def experts(self) -> list[str]:
        """The adapted matrices of experts."""
        return [site for site in self.deltas if expert_of(site) is not None]

    @property
    def adapted(self) -> set[str]:
        """All weights that the adapter changes, by factors, biases or in full."""
        biases = {f"{pair.key}.bias" for pair in self.adapter.pairs if pair.bias is not None}
        return {*self.deltas, *self.adapter.whole, *biases}

    @property
    def num_untouched(self) -> int:
        """Weights that it does not; a tied head is one of them where its embedding is not."""
        is_tied = bool(self.model.config["tie_word_embeddings"])
        return len(self.base.keys() - self.adapted) + (is_tied and EMBEDDING in self.adapted)

    def sites(self, scope: Scope) -> list[str]:
        """Adapted matrices; where there are several such places, one of them is drawn."""
        adapted = list(self.deltas)
        others = [site for site in adapted if expert_of(site) is None]
        if scope == "one":
            return [self.draw(adapted)]
        if scope == "linear":
            return [self.draw(others)]
        if scope == "expert":
            layer, expert = self.draw(sorted({(layer_of(site), expert_of(site)) for site in self.experts}))
            return [site for site in self.experts if (layer_of(site), expert_of(site)) == (layer, expert)]
        if scope in ("layer", "last layer"):
            layers = sorted({layer for site in adapted if (layer := layer_of(site)) is not None})
            layer = layers[-1] if scope == "last layer" else self.draw(layers[:-1])
            return [site for site in adapted if layer_of(site) == layer]
        return {"experts": self.experts, "attention": others, "all": adapted}[scope]

    def named(self) -> set[Named]:
        """What findings must name, for all culprits: the stored tensor, its layer, and the expert in it."""
        shape = self.setup.merged

        def stored(site: str) -> str:
            return site if site in self.tensors else storing.stored_name(self.model, site, shape)

        return {Named(stored(site), layer_of(site), expert_of(site)) for site in self.culprits} | self.also_named

    def draw(self, choices: list[Any]) -> Any:
        """One of these."""
        assert choices, "there is no such place"
        return choices[int(self.rng.integers(len(choices)))]


Act = Callable[[Planting], None]


class Plant(NamedTuple):
    """Damage, and the step before which it is done."""

    stage: Stage
    act: Act


def before(stage: Stage) -> Callable[[Act], Plant]:
    """Makes damage of what is done to a merge before this step."""
    return lambda act: Plant(stage, act)


def begin(setup: Setup, dtype: Dtype, seed: str) -> Planting:
    """The right merge, before its first step."""
    chosen = model(setup.model)
    adapter = draw(chosen, setup.recipe)
    return Planting(
        setup=setup,
        dtype=dtype,
        rng=np.random.default_rng(zlib.crc32(seed.encode())),
        model=chosen,
        adapter=adapter,
        base=base_values(chosen, dtype),
        deltas=dict(deltas_of(chosen, adapter, setup.way)),
    )


def finish(planting: Planting, directory: Path, plant: Plant | None = None) -> None:
    """Take the steps to `directory`, with the damage in front of the step that it is for."""
    steps: dict[Stage, Callable[[], None]] = {
        "adapter": lambda: _compute_right(planting),
        "deltas": lambda: _compute(planting),
        "values": lambda: _arrange(planting),
        "tensors": lambda: _write(planting, directory),
        "files": lambda: None,
    }
    for name, step in steps.items():
        if plant is not None and plant.stage == name:
            plant.act(planting)
        step()


def _compute_right(planting: Planting) -> None:
    _compute(planting)
    planting.right = planting.values


def _compute(planting: Planting) -> None:
    planting.values = merged_values(
        planting.base, planting.adapter, planting.deltas, planting.dtype, planting.setup.way
    )


def _arrange(planting: Planting) -> None:
    values, right = planting.values, planting.right
    planting.culprits |= {site for site, value in values.items() if not _same(value, right[site])}
    planting.tensors = storing.tensors_of(planting.model, planting.values, planting.dtype, planting.setup.merged)


def _same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.tobytes() == second.astype(np.float32).tobytes()


def _write(planting: Planting, directory: Path) -> None:
    shape = planting.setup.merged
    storing.write(directory, planting.model, planting.tensors, planting.dtype, shape, **planting.config)
    planting.directory = directory
