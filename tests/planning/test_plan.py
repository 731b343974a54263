"""The real plan: its counts, pinned, and what the grid owes."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.planning.expand import Plan, PlanCell, make_plan
from harness.runs.request import Catalogue

ROWS = ("r1", "r2", "r3", "r4", "newest")
JAX = "jax"
TRANSFORMERS_4 = "r3"


def test_the_counts_of_a_whole_run(plan: Plan) -> None:
    """What `deltaproof plan` printed on 2026-11-21, with the versions of `conftest.py`. A new case changes it.

    164 writes and 795 routes are among the rows of PEFT; what the second stack adds is counted below.
    """
    assert {
        "writes": 164 + 17,
        "routes": 795 + 345,
        "routes_lora": 601,
        "routes_merged": 539,
        "routes_across_cells": 763,
        "skipped": 3,
    } == plan.counts()
    among_peft = [read for read in plan.reads if JAX not in (read.writer, read.reader)]
    assert (164, 795) == (sum(write.cell != JAX for write in plan.writes), len(among_peft))


def test_what_the_second_stack_adds(plan: Plan) -> None:
    """It reads every grid case of its five families, and each row reads its adapters of experts in three dialects."""
    routes = Counter(
        (
            "writes" if read.writer == JAX else "reads",
            "grid" if read.case.grid else "its own",
            bool(read.family.experts),
        )
        for read in plan.reads
        if JAX in (read.writer, read.reader)
    )
    assert {
        ("reads", "grid", False): 2 * 5 * 2,  # dense families × rows × forms
        # MoE families in both dtypes × rows × forms; square_gate_up without transformers 4, and square;
        # fused_on_disk and config_renamed (merged, by transformers 5), and regex (lora, by transformers 4)
        ("reads", "grid", True): 3 * 2 * 5 * 2 + 4 * 2 + 5 * 2 + 4 + 4 + 1,
        ("writes", "grid", False): 2 * 2 * 6,  # dense families × forms × readers, itself among them
        ("writes", "grid", True): (3 * 2 + 2) * (3 + 1) * 6,  # (MoE and the squares) × (dialects, merged) × readers
        ("writes", "its own", False): (2 + 1) * 2,  # bfloat16 and tied, × forms
        ("writes", "its own", True): (2 + 1 + 1) * (3 + 1),  # sharded in both dtypes, rslora, patterns
    } == routes
    assert 17 == sum(write.cell == JAX for write in plan.writes)
    assert not any(read.family.name == "qwen3_5_moe" for read in plan.reads if JAX in (read.writer, read.reader))
    assert {JAX} == {read.writer for read in plan.reads if read.dialect}


def test_the_counts_of_a_quick_run(catalogue: Catalogue, rows: tuple[PlanCell, ...]) -> None:
    """`deltaproof plan --quick`: two families, every pair of rows; the second stack's adapter of experts thrice."""
    quick = [case for case in catalogue.cases if case.quick]
    assert {
        "writes": 2 * 6,
        "routes": 2 * 6 * 6 * 2 + 2 * 6,
        "routes_lora": 84,
        "routes_merged": 72,
        "routes_across_cells": 130,
        "skipped": 0,
    } == make_plan(quick, catalogue.families, rows).counts()


def test_the_routes_of_each_sort_of_case(catalogue: Catalogue, plan: Plan) -> None:
    """`deltaproof plan` lists them: the grid by family, TRL, full count, and the variants by name."""
    variants: Counter[str] = Counter()
    for read in plan.reads:
        _, dtype, trainer, *variant = read.case.name.split("-")
        variants[variant[0] if variant else "grid" if read.case.grid else f"{dtype} {trainer}"] += 1
    assert {
        "grid": 464 + 80 + 168,  # among PEFT's rows, read by the second stack, written by it
        "bfloat16 loop": 20 + 4,
        "float32 trl": 20,
        "bfloat16 trl": 20,
    } == {name: variants[name] for name in ("grid", "bfloat16 loop", "float32 trl", "bfloat16 trl")}
    assert 8 == variants["full_count"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_cell_reads_what_every_other_wrote_in_both_forms(catalogue: Catalogue, plan: Plan, dtype: str) -> None:
    """Every family in float32, every MoE family in bfloat16, all pairs of rows that have the family."""
    routes = {read.id for read in plan.reads}
    families = [f for f in catalogue.families.values() if dtype == "float32" or f.experts]
    assert len(families) == (6 if dtype == "float32" else 4)
    for family in families:
        able = [row for row in ROWS if not (family.requires and row == TRANSFORMERS_4)]
        expected = {
            f"{family.name}-{dtype}-loop@{writer}>{form}>{reader}"
            for writer in able
            for reader in able
            for form in ("lora", "merged")
        }
        assert set() == expected - routes


def test_every_family_is_in_a_grid_case(catalogue: Catalogue) -> None:
    """A family more that no grid reads would escape the checks."""
    assert set(catalogue.families) == {case.family for case in catalogue.cases if case.grid and case.dtype == "float32"}


def test_every_case_and_family_says_why(catalogue: Catalogue) -> None:
    """A reason each, and at least one cell that writes it."""
    assert all(case.why.strip() for case in catalogue.cases)
    assert all(family.why.strip() for family in catalogue.families.values())
    assert all(cell.why.strip() for cell in catalogue.matrix.cells)


def test_every_case_is_written_and_read(catalogue: Catalogue, plan: Plan) -> None:
    """No case is there for nothing."""
    names = {case.name for case in catalogue.cases}
    assert names == {write.case.name for write in plan.writes} == {read.case.name for read in plan.reads}


def test_nothing_is_skipped_on_the_newest_row(plan: Plan) -> None:
    """What is skipped is the family that transformers 4 lacks, there."""
    assert [] == [skip.case.name for skip in plan.skips if skip.newest]
    assert {("qwen3_5_moe", TRANSFORMERS_4)} == {(skip.case.family, skip.cell) for skip in plan.skips}


def test_every_read_has_its_write(plan: Plan) -> None:
    """And no id occurs twice."""
    ids = [write.id for write in plan.writes] + [read.id for read in plan.reads]
    assert len(ids) == len(set(ids))
    assert {read.written_id for read in plan.reads} <= {write.id for write in plan.writes}


def test_the_full_count_is_the_size_of_qwen3_30b_a3b(catalogue: Catalogue, plan: Plan) -> None:
    """48 layers of 128 experts, on the four pinned rows."""
    (case,) = [case for case in catalogue.cases if case.full_count]
    assert (48, 128) == (case.config["num_hidden_layers"], case.config["num_experts"])
    assert ["r1", "r2", "r3", "r4"] == [write.cell for write in plan.writes if write.case == case]


def test_adapters_are_never_trivial(catalogue: Catalogue) -> None:
    """Ranks of at least 2, so that packings differ, and a scale that is not 1."""
    for case in catalogue.cases:
        adapter = case.adapter
        assert all(rank >= 2 for rank in (adapter.rank, *adapter.rank_pattern.values()))
        assert adapter.alpha != adapter.rank
