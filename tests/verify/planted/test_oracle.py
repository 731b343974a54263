"""Tests of the oracle and of the damage: the merge is PEFT's by its own loops, and each damage is where it says."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from tests.verify.planted import adapters, storing
from tests.verify.planted.adapters import Recipe, draw
from tests.verify.planted.catalogue import CATALOGUE, GROUPS, Damage
from tests.verify.planted.families import KNOWN, SQUARE, SQUARER, model
from tests.verify.planted.merging import add, base_values, deltas_of
from tests.verify.planted.models import Sizes, expert_of
from tests.verify.planted.of_values import nothing
from tests.verify.planted.planting import Setup, begin, finish

FUSED = [(name, style) for name in KNOWN if model(name).experts for style in ("standard", "swapped")]


def test_no_two_sizes_are_equal() -> None:
    """Nor is one of them that of gate and up together, so that nothing fits where it should not; squares are meant."""
    sizes = astuple(Sizes())
    assert len({*sizes, 2 * Sizes().inner}) == len(sizes) + 1
    assert SQUARE.hidden == SQUARE.queries == 2 * SQUARE.inner
    assert SQUARER.hidden == SQUARER.inner


@pytest.mark.parametrize(("name", "style"), FUSED, ids=str)
def test_deltas_of_experts_are_what_peft_adds_to_the_parameter(name: str, style: adapters.Style) -> None:
    """One element at a time: expert e has rows e*r + k of lora_A and columns k*E + e of lora_B."""
    chosen = model(name)
    adapter = draw(chosen, Recipe(style=style, rank=2))
    deltas = deltas_of(chosen, adapter)
    held = {site: deltas.get(site, np.zeros_like(weight)) for site, weight in chosen.weights.items()}
    fused = storing.tensors_of(chosen, held, "F32", storing.Shape(fused=True, prefix="model."))
    rng = np.random.default_rng(0)
    experts = chosen.experts
    assert experts is not None
    for pair in adapter.pairs:
        if pair.kind != "fused":
            continue
        leaf = "gate_up_proj" if len(pair.parts) == 2 else "down_proj"
        parameter_EIO = fused[f"{experts.module(pair.layer)}.{leaf}"][1]
        for _ in range(20):
            expert, row, column = (int(rng.integers(size)) for size in parameter_EIO.shape)
            # 0.18 names the parameter's axes (in, out), 0.19 (out, in): peft/tuners/lora/layer.py, ParamWrapper.
            of_a, of_b = (row, column) if style == "swapped" else (column, row)
            expected = pair.scaling * sum(
                float(pair.b[of_b, k * experts.num + expert]) * float(pair.a[expert * 2 + k, of_a]) for k in range(2)
            )
            assert expected == pytest.approx(float(parameter_EIO[expert, row, column]), rel=1e-9)


@pytest.mark.parametrize("name", [name for name in KNOWN if model(name).experts])
def test_styles_adapt_the_same_sites(name: str) -> None:
    """However the adapter names its factors, every matrix of every expert has a delta of its own."""
    chosen = model(name)
    found = {
        style: {site for site in deltas_of(chosen, draw(chosen, Recipe(style=style))) if expert_of(site) is not None}
        for style in ("standard", "swapped", "per_expert")
    }
    experts = {site for site in chosen.weights if expert_of(site) is not None}
    assert {"standard": experts, "swapped": experts, "per_expert": experts} == found


def test_deltas_have_the_size_that_is_asked_for() -> None:
    """By root mean squares, to within what a draw gives."""
    chosen = model("qwen3_moe")
    for relative in (0.01, 0.1, 0.3):
        deltas = deltas_of(chosen, draw(chosen, Recipe(relative=relative)))
        sizes = [
            np.sqrt(np.mean(delta**2)) / np.sqrt(np.mean(chosen.weights[site] ** 2)) for site, delta in deltas.items()
        ]
        assert 0.4 * relative < min(sizes) < max(sizes) < 2 * relative


def test_sums_round_once_or_twice() -> None:
    """In bfloat16 the two orders differ somewhere, and neither is far from the sum."""
    chosen = model("qwen3_moe")
    base, deltas = base_values(chosen, "BF16"), deltas_of(chosen, draw(chosen, Recipe()))
    site = "model.layers.1.mlp.experts.2.down_proj.weight"
    once, twice = (add(base[site], deltas[site], "BF16", delta_first=is_first) for is_first in (False, True))
    assert 0 < np.mean(once != twice) < 0.2
    assert np.abs(once - base[site] - deltas[site]).max() < 0.01


def test_the_catalogue_is_large_and_its_names_differ() -> None:
    """Forty kinds at least, in all groups, over both dtypes and more."""
    names = [damage.name for damage in CATALOGUE]
    ids = [
        (group, damage.name, dtype)
        for group, damages in GROUPS.items()
        for damage in damages
        for dtype in damage.dtypes
    ]
    assert len(ids) == len({*ids})
    assert len({name.split(":")[0] for name in names}) >= 40
    assert {"F32", "BF16", "F16"} == {dtype for _, _, dtype in ids}


@pytest.mark.parametrize(
    "damage",
    [damage for damage in CATALOGUE if damage.plant.stage in ("deltas", "values")],
    ids=lambda damage: f"{damage.kinds}-{damage.name}",
)
def test_damage_is_where_it_says(damage: Damage, merged: Path) -> None:
    """It changes what is stored somewhere, and in one place only where it names one."""
    planting = begin(damage.setup, damage.dtypes[-1], damage.name)
    finish(planting, merged, damage.plant)
    if damage.plant is nothing:
        assert not planting.culprits
        return
    assert planting.culprits
    if damage.name.endswith((": one", ": linear")):
        assert 1 == len(planting.culprits)
    if damage.name.endswith(": all"):
        assert planting.culprits <= set(planting.deltas)


def test_a_right_merge_has_no_culprits(merged: Path) -> None:
    """Nothing is said of what nothing was done to, and the merge differs from base where it is adapted."""
    planting = begin(Setup(), "BF16", "clean")
    finish(planting, merged)
    assert not planting.culprits
    changed = {site for site, value in planting.values.items() if not np.array_equal(value, planting.base[site])}
    assert set(planting.deltas) == changed
