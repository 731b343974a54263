"""The simulation that accompanied a published fix of a merge (unslothai/unsloth-zoo#647), asked of the verifier.

It merged experts on synthetic factors, 52 cases in three environments: which layout the factors have, by which count
they are sliced, what is counted as applied and what as fallen back, and what is written beside. Its rows are gone, its
subjects are not: here each is a merge as that code would leave it, over the adapters that the rows of the matrix write,
the newest releases among them. What was counted then is what must be seen in the files now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.errors import ArtifactError
from harness.verify import verify
from harness.verify.report import Verdict
from tests.verify.planted import of_values
from tests.verify.planted.adapters import Recipe, Style, tensors_of
from tests.verify.planted.catalogue.row import leads_to
from tests.verify.planted.conftest import Place
from tests.verify.planted.merging import Dtype, Reading
from tests.verify.planted.models import expert_of, layer_of
from tests.verify.planted.of_deltas import by_rank_one, everywhere, misread, missing
from tests.verify.planted.of_files import shard_of_base, without
from tests.verify.planted.of_values import at
from tests.verify.planted.planting import Named, Plant, Planting, Setup, before, begin, finish
from tests.verify.planted.storing import Shape

ENVIRONMENTS = {
    "peft 0.18.1, transformers 5.5.0": Recipe(style="swapped", version="0.18.1"),
    "peft 0.19.1, transformers 5.5.0": Recipe(style="standard", version="0.19.1"),
    "peft 0.19.1, transformers 4.57.6": Recipe(style="per_expert", version="0.19.1"),
    "peft 0.21.2, transformers 5.23.0": Recipe(style="standard", version="0.21.2"),
}
"""What each writes; the last was not in the simulation, for there was none."""
SHARDS = Shape(shard_bytes=40_000)
"""So that a file holds some of the 17 experts: the count of one file is no divisor of the rank of all."""
CROWD = "qwen3_moe-crowd"


class Case(NamedTuple):
    """One subject of the simulation."""

    name: str
    kinds: str = ""
    """Of the findings that are errors, with spaces between them."""
    model: str = "qwen3_moe"
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe
    merged: Shape = Shape()
    plant: Plant | None = None
    fused_only: bool = False
    """Whether it cannot happen where every expert has factors of its own."""
    verdict: Verdict | None = None
    """Where it is not the gravest that the kinds lead to."""


def changed(**fields: object) -> Callable[[Recipe], Recipe]:
    """The recipe with other fields."""
    return lambda recipe: replace(recipe, **fields)  # type: ignore[arg-type]


def lacking(part: str) -> Plant:
    """One of the three helpers falls back, for all experts."""
    return at(
        lambda planting: [site for site in planting.experts if site.endswith(f".{part}_proj.weight")], of_values.bases
    )


@before("deltas")
def but_for_the_first_layer(planting: Planting) -> None:
    """What was counted once is taken for all: only the first layer's experts are merged."""
    planting.deltas |= {site: missing(planting, site) for site in planting.experts if layer_of(site) != 0}


@before("deltas")
def but_for_the_last_experts(planting: Planting) -> None:
    """A count that is too small leaves the last expert of each layer out."""
    experts = planting.model.experts
    assert experts is not None, "this is for experts"
    last = experts.num - 1
    planting.deltas |= {site: missing(planting, site) for site in planting.experts if expert_of(site) == last}


GROUPED, TURNED = misread(Reading(b="grouped")), misread(Reading(turned=True))
SQUARE, SQUARER, LONELY = "qwen3_moe-square", "qwen3_moe-squarer", "qwen3_moe-lonely"
GATE_AND_UP, DOWN = changed(parameters=("gate_up_proj",)), changed(parameters=("down_proj",))
CASES = [
    # Which layout the factors have, and by which count they are sliced: right merges.
    Case("all experts"),
    Case("one file for all", merged=Shape(fused=True)),
    Case("seventeen experts over files", model=CROWD, merged=SHARDS),
    Case("one expert", model=LONELY),
    Case("one rank", change=changed(rank=1)),
    Case("more ranks than experts", change=changed(rank=7)),
    Case("rsLoRA", change=changed(rslora=True)),
    Case("gate and up alone", change=GATE_AND_UP, fused_only=True),
    Case("down alone, outermost", change=DOWN, fused_only=True),
    Case("two halves as wide as hidden", model=SQUARE),
    Case("square experts", model=SQUARER),
    Case("attention alone", change=changed(style="none")),
    # What the code before the fix left: the whole of the experts' training gone, and nothing said.
    Case("no expert merged", "delta_missing", plant=everywhere("experts", missing)),
    Case("no expert merged, square", "delta_missing", SQUARE, plant=everywhere("experts", missing)),
    Case("nothing merged", "delta_missing", plant=everywhere("all", missing), verdict=Verdict.BASE_UNCHANGED),
    # What falls back, and where.
    Case("gate falls back", "delta_missing", plant=lacking("gate")),
    Case("up falls back", "delta_missing", plant=lacking("up")),
    Case("down falls back", "delta_missing", plant=lacking("down")),
    Case("one expert falls back", "delta_missing", CROWD, plant=everywhere("expert", missing)),
    Case("one matrix falls back", "delta_missing", plant=everywhere("one", missing)),
    Case("one file falls back", "delta_missing", CROWD, merged=SHARDS, plant=shard_of_base),
    Case("all layers but the first fall back", "delta_missing", plant=but_for_the_first_layer),
    Case("the last expert of each layer falls back", "delta_missing", CROWD, plant=but_for_the_last_experts),
    # What the fix itself did, and what its reviewers feared.
    Case("B in groups", "delta_wrong_packing", plant=GROUPED, fused_only=True),
    Case("B in groups, seventeen experts", "delta_wrong_packing", CROWD, plant=GROUPED, fused_only=True),
    Case("the other layout, gate and up", "delta_wrong_layout", SQUARE, GATE_AND_UP, plant=TURNED, fused_only=True),
    Case("the other layout, down", "delta_wrong_layout", SQUARER, DOWN, plant=TURNED, fused_only=True),
    Case("sliced by rank 1", "delta_wrong_values", plant=by_rank_one, fused_only=True),
    # What is written beside.
    Case("no generation_config", "generation_config_missing", plant=without("generation_config.json")),
]
DTYPES: tuple[Dtype, ...] = ("F32", "BF16")
ROWS = [
    # Every case meets both dtypes, and so does every environment.
    pytest.param(environment, case, DTYPES[(row + number) % 2], id=f"{environment}-{case.name}")
    for row, (environment, recipe) in enumerate(ENVIRONMENTS.items())
    for number, case in enumerate(CASES)
    if not (case.fused_only and recipe.style == "per_expert")
]


@pytest.mark.parametrize(("environment", "case", "dtype"), ROWS)
def test_the_simulation_is_answered(environment: str, case: Case, dtype: Dtype, place: Place, merged: Path) -> None:
    """The verdict, and the counts that the merge itself should have made: attempted, applied and fallen back."""
    setup = Setup(model=case.model, recipe=case.change(ENVIRONMENTS[environment]), merged=case.merged)
    planting = begin(setup, dtype, case.name)
    finish(planting, merged, case.plant)
    report = verify(*place(planting), merged, num_threads=1)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert case.kinds.split() == sorted({finding.kind for finding in errors}, reverse=True)
    assert (case.verdict or leads_to(case.kinds)) is report.verdict
    named = {Named(each.tensor, each.layer, each.expert) for each in errors if each.tensor}
    assert planting.named() == named
    attempted, fallback = len(planting.experts), len(planting.culprits & set(planting.experts))
    counted = (report.experts.attempted, report.experts.applied, report.experts.fallback)
    assert (attempted, attempted - fallback, fallback) == counted


@pytest.mark.parametrize("model", ["qwen3_moe", "qwen3_moe-square", "gpt_oss"])
def test_a_rank_of_one_is_told_in_words(model: str, place: Place, merged: Path) -> None:
    """Of every expert, and not only that something else was merged."""
    style: Style = "swapped" if model == "gpt_oss" else "standard"
    planting = begin(Setup(model=model, recipe=Recipe(style=style)), "BF16", "one")
    finish(planting, merged, by_rank_one)
    findings = verify(*place(planting), merged, num_threads=1).findings
    told = {(each.tensor, each.layer, each.expert) for each in findings if "the rank was taken for 1" in each.message}
    assert planting.named() == told


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_factors_of_no_layout_are_refused(environment: str, place: Place, merged: Path) -> None:
    """A shape that fits nothing is no merge to judge: one line, and no counter that says all is well."""
    planting = begin(Setup(recipe=ENVIRONMENTS[environment]), "F32", "mangled")
    tensors = tensors_of(planting.adapter)
    key = next(key for key in tensors if ".experts." in key and ".lora_A." in key)
    tensors[key] = ("F32", tensors[key][1][:-1])
    planting.adapter_tensors = tensors
    finish(planting, merged)
    with pytest.raises(ArtifactError):
        verify(*place(planting), merged, num_threads=1)


@pytest.mark.parametrize("environment", [name for name in ENVIRONMENTS if "4.57.6" not in name])
def test_an_endless_chain_of_wrappers_ends(environment: str, place: Place, merged: Path) -> None:
    """Forty wrappers around each other are factors of nothing, and named so."""
    planting = begin(Setup(recipe=ENVIRONMENTS[environment]), "F32", "chain")
    tensors = tensors_of(planting.adapter)
    chained = {
        key.replace(".experts.base_layer.", f".experts{40 * '.base_layer'}."): value
        for key, value in tensors.items()
        if ".experts.base_layer." in key
    }
    planting.adapter_tensors = tensors | chained
    finish(planting, merged)
    report = verify(*place(planting), merged, num_threads=1)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert Verdict.PARTIAL is report.verdict
    assert {("adapter_key_unmatched", key) for key in chained} == {(each.kind, each.tensor) for each in errors}


def test_there_are_as_many_cases_as_there_were() -> None:
    """Fifty-two at least, and every environment has its share."""
    assert len(ROWS) >= 52
    assert all(sum(environment == row.values[0] for row in ROWS) >= 20 for environment in ENVIRONMENTS)
