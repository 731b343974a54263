"""Tests of what an adapter's file should have factors for: by its configuration, and by what it has in other layers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from harness.verify.adapters import read_adapter
from harness.verify.companions import Checkpoint
from harness.verify.lacking import Lacking, lacking
from harness.verify.places import Site
from harness.verify.records import Finding
from harness.verify.sides import HEAD, Side
from harness.verify.targets import Target, target_of
from tests.verify.adapter_files import Tensors, factors, write_adapter
from tests.verify.layouts import E, F, H, Shapes, layout, rules

EMBEDDING = "model.embed_tokens.weight"
QUERIES, KEYS = "model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj"
EXPERTS = "model.layers.{}.mlp.experts"
LINEARS: Shapes = {f"{name.format(layer)}.weight": (6, 5) for layer in range(2) for name in (QUERIES, KEYS)}
FUSED: Shapes = {f"{EXPERTS.format(layer)}.down_proj": (E, H, F) for layer in range(2)} | {
    f"{EXPERTS.format(layer)}.gate_up_proj": (E, 2 * F, H) for layer in range(2)
}
APART: Shapes = {
    f"{EXPERTS.format(layer)}.{expert}.{name}_proj.weight": (H, F) if name == "down" else (F, H)
    for layer in range(2)
    for expert in range(E)
    for name in ("gate", "up", "down")
}
FIRST = factors(QUERIES.format(0))
DOWN = factors(EXPERTS.format(0), rank=2 * E, rows=H, columns=F)
GATE_UP = factors(EXPERTS.format(0) + ".base_layer", rank=2 * E, rows=2 * F, columns=H)
THREE = [EXPERTS.format(0) + f".{expert}.down_proj" for expert in range(E) if expert != 2]
SINGLE: Tensors = {key: each for name in THREE for key, each in factors(name, rows=H, columns=F).items()}
NAMED: dict[str, Any] = {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.down_proj"]}


def downs(layer: int) -> set[str]:
    """Every expert's."""
    return {f"{EXPERTS.format(layer)}.{expert}.down_proj.weight" for expert in range(E)}


class Case(NamedTuple):
    """An adapter of two layers' base, and what its file lacks."""

    tensors: Tensors
    config: dict[str, Any]
    experts: Shapes
    sites: set[str]
    """That it lacks for sure."""
    told: set[str]
    """Tensors, as base stores them."""
    severities: Collection[str] = ("error",)


SECOND = f"{QUERIES.format(1)}.weight"
CASES = {
    "a layer": Case(FIRST, {}, {}, {SECOND}, {SECOND}),
    "a layer that is not meant": Case(FIRST, {"target_modules": [QUERIES.format(0)]}, {}, set(), set(), set()),
    "a layer that is left out": Case(FIRST, {"layers_to_transform": [0]}, {}, set(), set(), set()),
    "what has factors nowhere": Case(
        FIRST, {"target_modules": ["q_proj", "k_proj"], "layers_to_transform": [0]}, {},
        set(), {f"{KEYS.format(0)}.weight"}, {"warning"},
    ),
    "a tied head": Case(
        FIRST, {"target_modules": ["q_proj", "lm_head"]}, {}, {SECOND}, {SECOND, HEAD}, {"error", "warning"}
    ),
    "fused experts, stored apart": Case(DOWN, NAMED | {"target_modules": []}, APART, downs(1), downs(1)),
    "fused experts, stored so": Case(
        DOWN, NAMED | {"target_modules": []}, FUSED, downs(1), {f"{EXPERTS.format(1)}.down_proj"}
    ),
    "fused experts of a layer that is not meant": Case(
        DOWN, {"target_modules": [], "target_parameters": ["layers.0.mlp.experts.down_proj"]}, APART,
        set(), set(), set(),
    ),
    "a parameter of a module that is told of already": Case(
        DOWN | GATE_UP | factors(EXPERTS.format(1), rank=2 * E, rows=H, columns=F),
        {"target_modules": [], "target_parameters": ["mlp.experts.down_proj", "mlp.experts.gate_up_proj"]}, APART,
        {f"{EXPERTS.format(1)}.{expert}.{part}_proj.weight" for expert in range(E) for part in ("gate", "up")},
        set(), set(),
    ),
    "an expert, and a layer of them": Case(
        SINGLE, {"target_modules": ["down_proj"]}, APART,
        downs(1) | {f"{EXPERTS.format(0)}.2.down_proj.weight"}, downs(1) | {f"{EXPERTS.format(0)}.2.down_proj.weight"},
    ),
    "experts of other names": Case(
        SINGLE, {"target_modules": THREE}, APART, set(), set(), set()
    ),
}  # fmt: skip


def seen(case: Case, directory: Path, *, has_place: bool = True) -> Lacking:
    """What is said of it; or of an adapter of which nothing has a place in base."""
    family = rules("qwen3_moe")
    adapter = read_adapter(write_adapter(directory, case.tensors, **case.config))
    places = layout(family, {**LINEARS, EMBEDDING: (11, 5), **case.experts})
    tied = places.places[EMBEDDING]._replace(site=Site(HEAD, None, None, None))
    places = replace(places, places={**places.places, HEAD: tied})
    found = [target_of(family, places, pair, adapter.config.target_parameters) for pair in adapter.pairs]
    targets = [target for target in found if isinstance(target, Target)]
    assert len(targets) == len(found)
    base = Side(checkpoint=cast(Checkpoint, None), layout=places, unexplained={}, is_tied=False, embedding="")
    return lacking(adapter, base, targets if has_place else [])


@pytest.mark.parametrize("name", CASES)
def test_what_is_meant_and_has_no_factors_is_lacking(name: str, tmp_path: Path) -> None:
    """Weight by weight for what changed there, and by the tensors of base for those who read it."""
    case = CASES[name]
    said = seen(case, tmp_path)
    assert case.sites == said.sites
    assert case.told == {finding.tensor for finding in said.findings}
    assert (len(case.told), {*case.severities}) == (len(said.findings), {finding.severity for finding in said.findings})


def test_a_weight_that_is_lacking_is_told_whole(tmp_path: Path) -> None:
    """In words, with its layer."""
    text = "the configuration means this weight, and the file has no factors for it"
    assert (Finding(kind="adapter_incomplete", severity="error", message=text, tensor=SECOND, layer=1),) == seen(
        CASES["a layer"], tmp_path
    ).findings


def test_an_adapter_that_has_no_place_in_base_lacks_nothing(tmp_path: Path) -> None:
    """That it has none is said elsewhere, and what it lacks would be all that it means."""
    assert Lacking(frozenset(), ()) == seen(CASES["a layer"], tmp_path, has_place=False)


def test_places_are_told(tmp_path: Path) -> None:
    """The layer, and the expert where a tensor is of one."""
    apart = seen(CASES["fused experts, stored apart"], tmp_path / "apart").findings
    assert {(1, expert) for expert in range(E)} == {(finding.layer, finding.expert) for finding in apart}
    [fused] = seen(CASES["fused experts, stored so"], tmp_path / "fused").findings
    assert (1, None) == (fused.layer, fused.expert)
