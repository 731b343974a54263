"""Cases × cells to jobs, on cases and cells made for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.planning.expand import Plan, PlanCell, applies, make_plan
from harness.records.cases import AdapterSpec, Case, Family, Stack
from tests.observations import DENSE, MOE, make_case

PICKY = replace(DENSE, name="picky", requires={"transformers": ">=5.5"})
FAMILIES = {"qwen3": DENSE, "picky": PICKY}
CELLS = (
    PlanCell(name="four", stack="torch_peft", versions={"transformers": "4.57.6", "peft": "0.19.1"}),
    PlanCell(name="five", stack="torch_peft", versions={"transformers": "5.5.0", "peft": "0.19.1"}),
    PlanCell(name="newest", stack="torch_peft", versions={"transformers": "5.23.0", "peft": "0.21.2"}, newest=True),
)
JAX = PlanCell(name="jax", stack="jax_stacked", versions={"jax": "0.10.2"})
BOTH: tuple[Stack, ...] = ("torch_peft", "jax_stacked")


def case(family: Family = DENSE, **changes: object) -> Case:
    """A case called c."""
    return make_case(family, name="c", **changes)


def planned(*cases: Case, cells: tuple[PlanCell, ...] = CELLS, wanted: str = "") -> Plan:
    """The plan; `wanted` is what an id must begin with or be."""
    return make_plan(cases, FAMILIES, cells, lambda identity: not wanted or identity == wanted)


def writes(plan: Plan) -> list[str]:
    """Ids of its writes."""
    return [write.id for write in plan.writes]


def reads(plan: Plan) -> list[str]:
    """Ids of its reads."""
    return [read.id for read in plan.reads]


def test_on_the_diagonal_each_cell_reads_its_own() -> None:
    """Every cell writes, and reads both forms of what it wrote."""
    plan = planned(case())
    assert ["c@four", "c@five", "c@newest"] == writes(plan)
    assert [f"c@{name}>{form}>{name}" for name in ("four", "five", "newest") for form in ("lora", "merged")] == reads(
        plan
    )
    assert 0 == plan.counts()["routes_across_cells"]


def test_on_the_grid_each_cell_reads_what_every_cell_wrote() -> None:
    """Every pair, in both forms."""
    plan = planned(case(grid=True))
    names = [cell.name for cell in CELLS]
    assert {f"c@{w}>{form}>{r}" for w in names for r in names for form in ("lora", "merged")} == set(reads(plan))
    expected = {
        "writes": 3,
        "routes": 18,
        "routes_lora": 9,
        "routes_merged": 9,
        "routes_across_cells": 12,
        "skipped": 0,
    }
    assert expected == plan.counts()


def test_a_case_with_one_form_is_read_in_that_form() -> None:
    """The other form's routes do not exist."""
    assert ["c@four>merged>four"] == reads(planned(case(forms=("merged",)), cells=CELLS[:1]))


def test_writers_are_chosen_by_version_without_a_skip() -> None:
    """Elsewhere the case does not exist; on a grid the others still read it."""
    plan = planned(case(writers={"transformers": "<5"}, grid=True, forms=("lora",)))
    assert ["c@four"] == writes(plan)
    assert ["c@four>lora>four", "c@four>lora>five", "c@four>lora>newest"] == reads(plan)
    assert () == plan.skips


def test_writers_are_chosen_by_name() -> None:
    """`cells` names who writes."""
    assert ["c@four", "c@newest"] == writes(planned(case(cells=("newest", "four"))))


def test_what_a_cell_cannot_run_is_a_skip_with_its_reason() -> None:
    """The family's requirement is told with the version that the cell has."""
    plan = planned(case(PICKY))
    assert ["c@five", "c@newest"] == writes(plan)
    (skip,) = plan.skips
    assert ("four", False) == (skip.cell, skip.newest)
    assert "family picky needs transformers >=5.5, the cell has 4.57.6" == skip.reason


def test_a_skip_on_the_newest_cell_is_marked() -> None:
    """There it counts as a failure."""
    old = replace(CELLS[2], versions={"transformers": "5.4"})
    assert [True] == [skip.newest for skip in planned(case(PICKY), cells=(old,)).skips]


def test_only_cells_that_have_the_family_read_it() -> None:
    """A reader without the family is no route."""
    readers = {read.reader for read in planned(case(PICKY, grid=True)).reads}
    assert {"five", "newest"} == readers


@pytest.mark.parametrize(
    ("wanted", "expected_writes", "expected_reads"),
    [
        pytest.param("c@five>lora>four", ["c@five"], ["c@five>lora>four"], id="a read brings its write"),
        pytest.param("c@five", ["c@five"], [], id="a write alone"),
        pytest.param("nothing", [], [], id="nothing"),
    ],
)
def test_wanted_chooses_by_id(wanted: str, expected_writes: list[str], expected_reads: list[str]) -> None:
    """Only what is wanted, and what it needs."""
    plan = planned(case(grid=True), wanted=wanted)
    assert (expected_writes, expected_reads) == (writes(plan), reads(plan))


def test_unwanted_skips_are_not_told() -> None:
    """A skip is told for its write's id only."""
    assert ["four"] == [skip.cell for skip in planned(case(PICKY), wanted="c@four").skips]
    assert () == planned(case(PICKY), wanted="c@five").skips


@pytest.mark.parametrize(
    ("specifier", "version", "expected"),
    [
        pytest.param(">=5", "5.0.0", None, id="at the bound"),
        pytest.param(">=5", "4.57.6", "case c needs transformers >=5, the cell has 4.57.6", id="below"),
        pytest.param(">=5", "5.24.0.dev0", None, id="a pre-release of a later version"),
        pytest.param("<5", "5.0.0", "case c needs transformers <5, the cell has 5.0.0", id="above"),
        pytest.param(">=5", "", "case c needs transformers >=5, the cell has none", id="not installed"),
    ],
)
def test_whether_a_case_applies(specifier: str, version: str, expected: str | None) -> None:
    """None where it does, else the reason."""
    versions = {"transformers": version} if version else {}
    assert expected == applies(case(writers={"transformers": specifier}), DENSE, "torch_peft", versions)


@pytest.mark.parametrize(
    ("stacks", "family_stacks", "expected_writers", "expected_readers"),
    [
        pytest.param(BOTH, BOTH, ["five", "jax"], {"five", "jax"}, id="both"),
        pytest.param(BOTH[:1], BOTH, ["five"], {"five", "jax"}, id="the case is written by PEFT"),
        pytest.param(BOTH[1:], BOTH, ["jax"], {"five", "jax"}, id="the case is written by the other"),
        pytest.param(BOTH, BOTH[:1], ["five"], {"five"}, id="the family is PEFT's"),
    ],
)
def test_a_case_is_written_by_its_stacks_and_read_by_those_of_its_family(
    stacks: tuple[Stack, ...], family_stacks: tuple[Stack, ...], expected_writers: list[str], expected_readers: set[str]
) -> None:
    """Elsewhere it does not exist: no write, no route, and no skip either."""
    family = replace(DENSE, stacks=family_stacks)
    cells = (CELLS[1], JAX)
    plan = make_plan([case(stacks=stacks, grid=True)], {"qwen3": family}, cells)
    assert expected_writers == [write.cell for write in plan.writes]
    assert expected_readers == {read.reader for read in plan.reads}
    assert () == plan.skips
    by_hand = [cell.name for cell in cells if applies(case(stacks=stacks), family, cell.stack, cell.versions) is None]
    assert expected_writers == by_hand


def test_versions_of_packages_concern_one_stack_alone() -> None:
    """A cell without transformers is neither left out by a case's writers nor skipped by a family's requirements."""
    picky = case(PICKY, stacks=BOTH, writers={"transformers": ">=5"}, grid=True, forms=("merged",))
    plan = planned(picky, cells=(CELLS[0], CELLS[1], JAX))
    assert ["c@five", "c@jax"] == writes(plan)
    assert {"five", "jax"} == {read.reader for read in plan.reads}
    assert () == plan.skips


@pytest.mark.parametrize(
    ("family", "changes", "expected"),
    [
        pytest.param(MOE, {}, ["lora-standard", "lora-swapped", "lora-per_expert", "merged"], id="experts"),
        pytest.param(MOE, {"forms": ("merged",)}, ["merged"], id="experts, merged alone"),
        pytest.param(MOE, {"adapter": AdapterSpec(adapt=("attention",))}, ["lora", "merged"], id="no expert adapted"),
        pytest.param(DENSE, {}, ["lora", "merged"], id="dense"),
    ],
)
def test_a_stack_that_writes_every_dialect_is_read_in_each(
    family: Family, changes: dict[str, object], expected: list[str]
) -> None:
    """Adapters of experts in three dialects, all else in one way; and what PEFT writes is in its own way always."""
    both = case(family, stacks=BOTH, grid=True, **changes)
    plan = make_plan([both], {family.name: family}, (CELLS[1], JAX))
    own = [form for form in ("lora", "merged") if form in both.forms]
    for reader in ("five", "jax"):
        assert [f"c@jax>{word}>{reader}" for word in expected] == [
            read.id for read in plan.reads if (read.writer, read.reader) == ("jax", reader)
        ]
        assert [f"c@five>{word}>{reader}" for word in own] == [
            read.id for read in plan.reads if (read.writer, read.reader) == ("five", reader)
        ]
    assert {"c@five", "c@jax"} == {read.written_id for read in plan.reads}


def test_no_cells_plan_nothing() -> None:
    """And no cases neither."""
    assert ([], []) == (writes(planned(case(), cells=())), writes(planned()))
