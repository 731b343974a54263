"""Right merges are said to be right: every family, dtype, style, order of rounding and way to lie on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.verify import verify
from harness.verify.report import Verdict
from tests.verify.planted import of_files
from tests.verify.planted.adapters import ATTENTION, MLP, Recipe, Style
from tests.verify.planted.conftest import Place
from tests.verify.planted.families import KNOWN, model
from tests.verify.planted.merging import COARSE, WAYS, Dtype
from tests.verify.planted.models import expert_of
from tests.verify.planted.planting import Plant, Setup, begin, finish
from tests.verify.planted.storing import Shape

BOTH: tuple[Dtype, ...] = ("F32", "BF16")
ALL: tuple[Dtype, ...] = ("F32", "BF16", "F16")
DENSE = Recipe(style="none", targets=(*ATTENTION, *MLP))
EVERYTHING = (*ATTENTION, *MLP, "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "in_proj_qkv", "out_proj")


class Clean(NamedTuple):
    """One right merge."""

    name: str
    setup: Setup
    dtype: Dtype
    may_warn: frozenset[str] = frozenset()
    """The kinds of warnings that are no fault."""
    plant: Plant | None = None
    """What is done to its tensors, which is right too."""
    must_warn: frozenset[str] = frozenset()
    """The kinds of warnings that are owed."""


def families() -> Iterator[Clean]:
    """Every family in every style that it can be adapted in."""
    for name in KNOWN:
        styles: tuple[Style, ...] = ("standard", "swapped", "per_expert") if model(name).experts else ("none",)
        for style in styles:
            if "square" in name:
                continue
            for dtype in BOTH:
                recipe = Recipe(style=style, targets=EVERYTHING)
                yield Clean(f"{name} {style}", Setup(model=name, recipe=recipe), dtype)


def roundings() -> Iterator[Clean]:
    """Every order of rounding and precision of products, of deltas large and small."""
    for way_name, way in WAYS.items():
        for dtype in ALL:
            for name, recipe in (("qwen3_moe", Recipe()), ("qwen3", replace(DENSE, relative=0.01))):
                yield Clean(f"{name} {way_name}", Setup(model=name, recipe=recipe, way=way), dtype)
        yield Clean(f"dora {way_name}", Setup(model="qwen3", recipe=replace(DENSE, dora=True), way=way), "F32")
    for way_name, way in COARSE.items():
        for name, recipe in (("qwen3_moe", Recipe()), ("qwen3", DENSE)):
            for dtype in BOTH:
                setup = Setup(model=name, recipe=recipe, way=way)
                if way.sum_ == "F32" or dtype == "BF16" != way.sum_:
                    yield Clean(f"{name} {way_name}", setup, dtype, frozenset({"merge_rounding"}))
    for relative in (0.002, 0.01, 0.3, 1.0):
        lost = frozenset({"lost_to_rounding"}) if relative < 0.01 else frozenset()
        yield Clean(f"relative {relative}", Setup(recipe=Recipe(relative=relative)), "BF16", must_warn=lost)
        yield Clean(f"relative {relative}", Setup(recipe=Recipe(relative=relative)), "F32")


APART, FUSED, SHARDED = Shape(), Shape(fused=True), Shape(shard_bytes=50_000)
LAID_OUT = [
    ("fused of apart", "qwen3_moe", APART, FUSED),
    ("apart of fused", "qwen3_moe", FUSED, APART),
    ("fused of fused", "mixtral", FUSED, FUSED),
    ("apart of fused, mixtral", "mixtral", FUSED, APART),
    ("shards of one file", "qwen3_moe", APART, SHARDED),
    ("one file of shards", "glm4_moe", SHARDED, APART),
    ("other shards", "deepseek_v3", SHARDED, replace(SHARDED, backwards=True)),
    ("fused shards of shards", "qwen3_moe-crowd", SHARDED, Shape(fused=True, shard_bytes=90_000, backwards=True)),
    ("shards of gpt-oss", "gpt_oss", APART, SHARDED),
    ("backwards", "llama", APART, Shape(backwards=True)),
    ("without prefix", "qwen3", APART, Shape(prefix="")),
    ("prefix of a base without", "qwen3_moe", Shape(prefix=""), APART),
    ("text model of a vision model", "qwen3_5_moe", APART, Shape(prefix="model.")),
    ("vision model's of a text model", "qwen3_5_moe", Shape(prefix="model."), Shape(fused=True)),
]


def layouts() -> Iterator[Clean]:
    """Base and merged that lie on disk in different ways."""
    for name, family, base, merged in LAID_OUT:
        recipe = Recipe() if model(family).experts else DENSE
        for dtype in BOTH:
            yield Clean(name, Setup(model=family, recipe=recipe, base=base, merged=merged), dtype)


WRAPPED = frozenset({"adapter_key_wrapped"})
RECIPES = [
    ("rank 1", "qwen3_moe", Recipe(rank=1)),
    ("ranks above experts", "qwen3_moe", Recipe(rank=7)),
    ("as many ranks as experts", "qwen3_moe", Recipe(rank=5, style="swapped")),
    ("rsLoRA", "qwen3_moe", Recipe(rslora=True)),
    ("rsLoRA, dense", "llama", replace(DENSE, rslora=True)),
    ("rank_pattern", "qwen3_moe", Recipe(rank_pattern=(("experts.gate_up_proj", 2), ("q_proj", 5)))),
    ("alpha_pattern", "qwen3_moe", Recipe(alpha_pattern=(("layers.1.self_attn.v_proj", 7), ("experts.down_proj", 2)))),
    ("both patterns", "glm4_moe", Recipe(rank_pattern=(("o_proj", 2),), alpha_pattern=(("o_proj", 9),))),
    ("only gate and up", "qwen3_moe", Recipe(parameters=("gate_up_proj",))),
    ("only down", "gpt_oss", Recipe(parameters=("down_proj",), style="swapped")),
    ("only experts", "qwen3_moe", Recipe(targets=())),
    ("only attention", "qwen3_moe", Recipe(style="none")),
    ("version unsaid", "qwen3_moe", Recipe(version="")),
    ("newest version", "qwen3_moe", Recipe(version="0.21.2")),
    ("gpt-oss of transformers 4", "gpt_oss", Recipe(style="standard", version="0.19.1")),
    ("gpt-oss of the newest", "gpt_oss", Recipe(style="swapped", version="0.21.2")),
    ("bfloat16 factors in the file", "qwen3_moe", Recipe(dtype="BF16")),
    ("DoRA", "qwen3", replace(DENSE, dora=True)),
    ("DoRA and rsLoRA", "llama", replace(DENSE, dora=True, rslora=True)),
    ("biases of lora_B", "llama", Recipe(style="none", targets=("q_proj", "k_proj", "v_proj"), lora_bias=True)),
    ("saved modules", "qwen3", replace(DENSE, saved=("lm_head", "norm"))),
    ("saved embedding", "qwen3_moe", Recipe(saved=("embed_tokens",))),
    ("biases of adapted modules", "llama", replace(DENSE, trained_bias="lora_only")),
    ("all biases", "glm4_moe", Recipe(trained_bias="all")),
    ("embedding", "qwen3", replace(DENSE, targets=("q_proj", "embed_tokens"))),
    ("embedding as PEFT saves it", "qwen3", replace(DENSE, targets=("q_proj", "embed_tokens"), saves_base="as it was")),
    ("head as PEFT saves it", "qwen3_moe", Recipe(targets=("q_proj", "lm_head"), saves_base="as it was")),
    ("head on another base", "qwen3", replace(DENSE, targets=("q_proj", "lm_head"), saves_base="trained")),
    ("head", "qwen3_moe", Recipe(targets=("q_proj", "lm_head"))),
    ("router", "qwen3_moe", Recipe(targets=("q_proj", "gate"))),
    ("square, standard", "qwen3_moe-square", Recipe()),
    ("square, swapped", "qwen3_moe-square", Recipe(style="swapped")),
    ("square, one rank", "qwen3_moe-square", Recipe(rank=1)),
    ("squarer, standard", "qwen3_moe-squarer", Recipe()),
    ("squarer, swapped", "qwen3_moe-squarer", Recipe(style="swapped")),
    ("squarer, apart", "qwen3_moe-squarer", Recipe(style="per_expert")),
    ("square, dense", "qwen3-square", DENSE),
    ("one expert", "qwen3_moe-lonely", Recipe()),
    ("another seed", "mixtral", Recipe(seed=3, style="per_expert")),
    ("a module of another model's adapter", "qwen3", replace(DENSE, prefix="base_model.model.base_model.model.")),
    ("a compiled model's", "qwen3", replace(DENSE, prefix="base_model.model._orig_mod.")),
]


def recipes() -> Iterator[Clean]:
    """Everything that can be configured of an adapter."""
    for name, family, recipe in RECIPES:
        for dtype in BOTH:
            wrapped = WRAPPED if recipe.prefix != DENSE.prefix else frozenset()
            yield Clean(name, Setup(model=family, recipe=recipe), dtype, must_warn=wrapped)


CONVERSIONS: list[tuple[Dtype, Dtype]] = [
    ("F32", "BF16"),
    ("F32", "F16"),
    ("BF16", "F32"),
    ("F16", "F32"),
    ("BF16", "F16"),
]
STATED = frozenset({"dtype_changed", "config_mismatch"})


def conversions() -> Iterator[Clean]:
    """The whole checkpoint stored in another dtype, as its configuration says: merged in it, or before."""
    for before, after in CONVERSIONS:
        for name in ("qwen3_moe", "gpt_oss", "deepseek_v3"):
            recipe = Recipe(style="swapped" if name == "gpt_oss" else "standard")
            setup = Setup(model=name, recipe=recipe)
            yield Clean(f"{name} in {after}", setup, before, STATED, of_files.all_merged_in(after))
            # What was rounded on the way is there in as many bits as base has; it may be said.
            warnings = STATED if before == "F32" else STATED | {"merge_rounding"}
            plant = of_files.all_stored_in(after, stated=True)
            yield Clean(f"{name} then stored in {after}", setup, before, warnings, plant)


def untied() -> Iterator[Clean]:
    """Tied models whose embedding is adapted: right only with a head apart, for the adapter does not change that."""
    for name, recipe in (
        ("embedding", replace(DENSE, targets=("q_proj", "embed_tokens"))),
        ("saved embedding", replace(DENSE, saved=("embed_tokens",))),
    ):
        for dtype in BOTH:
            setup = Setup(model="qwen3-tied", recipe=recipe)
            yield Clean(f"{name}, tied and untied", setup, dtype, plant=of_files.with_a_head_of_its_own)


ROWS = [*families(), *roundings(), *layouts(), *recipes(), *conversions(), *untied()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.dtype}")
def test_a_right_merge_contains_its_adapter(row: Clean, place: Place, merged: Path) -> None:
    """CONTAINS without an error, every adapted weight matched, and every other one compared and found the same."""
    planting = begin(row.setup, row.dtype, row.name)
    finish(planting, merged, row.plant)
    report = verify(*place(planting), merged, num_threads=1)
    assert [] == [finding for finding in report.findings if finding.severity == "error"]
    assert Verdict.CONTAINS is report.verdict
    warnings = {finding.kind for finding in report.findings if finding.severity == "warning"}
    assert row.must_warn <= warnings <= row.may_warn | row.must_warn
    num_adapted = len(planting.adapted)
    assert (num_adapted, num_adapted) == (report.tensors.targeted, report.tensors.matched)
    assert planting.num_untouched == report.passthrough.compared == report.passthrough.identical
    num_experts = sum(expert_of(site) is not None for site in planting.deltas)
    assert (num_experts, num_experts, 0) == (report.experts.attempted, report.experts.applied, report.experts.fallback)


@pytest.mark.parametrize(("name", "family", "recipe"), RECIPES, ids=[name for name, *_ in RECIPES])
def test_its_adapter_alone_fits_its_base(name: str, family: str, recipe: Recipe, place: Place) -> None:
    """Without a merged checkpoint: well-formed, all of it has a place in base, and nothing is counted as merged."""
    planting = begin(Setup(model=family, recipe=recipe), "BF16", name)
    report = verify(*place(planting), num_threads=1)
    assert [] == [finding for finding in report.findings if finding.severity == "error"]
    assert Verdict.FITS is report.verdict
    assert (len(planting.experts), 0) == (report.experts.attempted, report.experts.applied)
    assert report.tensors.targeted >= len(planting.deltas) > report.tensors.matched == 0


def test_there_are_enough_of_them() -> None:
    """Sixty at least, in every dtype, family and style."""
    assert len({(row.name, row.dtype) for row in ROWS}) == len(ROWS) >= 60
    assert set(KNOWN) == {row.setup.model for row in ROWS}
    assert {"standard", "swapped", "per_expert", "none"} == {row.setup.recipe.style for row in ROWS}
    assert {*ALL} == {row.dtype for row in ROWS}
