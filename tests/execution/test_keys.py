"""Keys change with everything that decides what an artifact holds, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.execution.keys import base_key, read_key, write_key
from harness.records.cases import AdapterSpec, SaveSpec
from harness.records.jobs import PlannedRead, PlannedWrite, Strike
from tests.execution.plans import FAMILY, case

CASE = case("one")
WRITE = PlannedWrite(case=CASE, family=FAMILY, cell="r1")
READ = PlannedRead(case=CASE, family=FAMILY, writer="r1", reader="r2", form="merged")
WRITE_DIGESTS = {"work_digest": "w", "lock_digest": "l", "base_digest": "b"}
READ_DIGESTS = {**WRITE_DIGESTS, "written_digest": "d"}

WORK: list[dict[str, Any]] = [
    {"name": "two"},
    {"dtype": "bfloat16"},
    {"trainer": "trl"},
    {"adapter": AdapterSpec(adapt=("attention",), rank=8)},
    {"save": SaveSpec(shard_bytes=1000)},
    {"config": {"hidden_size": 8}},
    {"steps": 61},
    {"learning_rate": 3e-2},
    {"seed": 2},
    {"forms": ("lora", "merged")},
]
PLANNING: list[dict[str, Any]] = [
    {"why": "another reason"},
    {"grid": True},
    {"stacks": ("jax_stacked",)},
    {"writers": {"transformers": ">=5"}},
    {"cells": ("r1",)},
    {"quick": True},
]


@pytest.mark.parametrize("change", WORK, ids=lambda change: next(iter(change)))
def test_what_decides_the_work_is_in_the_key(change: dict[str, Any]) -> None:
    """Each field of a case that a cell acts on gives another key, for writes and reads."""
    changed = replace(CASE, **change)
    assert write_key(WRITE, **WRITE_DIGESTS) != write_key(replace(WRITE, case=changed), **WRITE_DIGESTS)
    assert read_key(READ, **READ_DIGESTS) != read_key(replace(READ, case=changed), **READ_DIGESTS)


@pytest.mark.parametrize("change", PLANNING, ids=lambda change: next(iter(change)))
def test_what_decides_whether_it_is_done_is_not_in_the_key(change: dict[str, Any]) -> None:
    """A case that moves into the grid, or is explained better, is not trained again."""
    changed = replace(CASE, **change)
    assert write_key(WRITE, **WRITE_DIGESTS) == write_key(replace(WRITE, case=changed), **WRITE_DIGESTS)
    assert read_key(READ, **READ_DIGESTS) == read_key(replace(READ, case=changed), **READ_DIGESTS)


def test_every_field_of_a_case_is_one_or_the_other() -> None:
    """A new field must be put into one of the two tables above."""
    decided = {name for change in (*WORK, *PLANNING) for name in change} | {"family", "full_count"}
    assert decided == set(CASE.__dataclass_fields__)


@pytest.mark.parametrize("name", READ_DIGESTS)
def test_every_digest_is_in_the_key(name: str) -> None:
    """Other code, another lock, another base, another written artifact: another key."""
    changed = {**READ_DIGESTS, name: "other"}
    assert read_key(READ, **READ_DIGESTS) != read_key(READ, **changed)
    if name in WRITE_DIGESTS:
        changed = {**WRITE_DIGESTS, name: "other"}
        assert write_key(WRITE, **WRITE_DIGESTS) != write_key(WRITE, **changed)


def test_cells_forms_and_families_have_keys_of_their_own() -> None:
    """Nothing is shared between two routes, even where two rows have one lock."""
    others = [replace(READ, writer="r3"), replace(READ, reader="r3"), replace(READ, form="lora")]
    others.append(replace(READ, dialect="swapped"))
    others.append(replace(READ, family=replace(FAMILY, config={"hidden_size": 8})))
    assert 6 == len({read_key(each, **READ_DIGESTS) for each in (READ, *others)})
    assert write_key(WRITE, **WRITE_DIGESTS) != write_key(replace(WRITE, cell="r3"), **WRITE_DIGESTS)


@pytest.mark.parametrize("change", [{"why": "another"}, {"requires": {"peft": ">1"}}, {"stacks": ("torch_peft",)}])
def test_what_only_plans_is_in_no_familys_key(change: dict[str, Any]) -> None:
    """Who implements a family, and since when, does not change what is done with it."""
    changed = replace(FAMILY, **change)
    assert write_key(WRITE, **WRITE_DIGESTS) == write_key(replace(WRITE, family=changed), **WRITE_DIGESTS)


def test_a_base_is_shared_by_cases_that_want_the_same_one() -> None:
    """Adapter, trainer and name do not matter to a base; seed, dtype, configuration and code do."""
    key = base_key(FAMILY, CASE, work_digest="w")
    assert key == base_key(FAMILY, case("two", steps=7), work_digest="w")
    assert key != base_key(FAMILY, replace(CASE, seed=2), work_digest="w")
    assert key != base_key(FAMILY, replace(CASE, dtype="bfloat16"), work_digest="w")
    assert key != base_key(FAMILY, replace(CASE, config={"hidden_size": 8}), work_digest="w")
    assert key != base_key(FAMILY, CASE, work_digest="v")


def test_a_strike_is_in_the_key_with_its_code() -> None:
    """Another fault, another seed, an edited fault: another artifact. Without a strike the digest is not asked."""
    strike = Strike(fault="one", seed=0)
    strikes = [None, strike, replace(strike, seed=1), replace(strike, fault="two")]
    for key, job, digests in ((write_key, WRITE, WRITE_DIGESTS), (read_key, READ, READ_DIGESTS)):
        keys = {key(replace(job, strike=each), **digests, fault_digest="f") for each in strikes}  # type: ignore[operator]
        keys.add(key(replace(job, strike=strike), **digests, fault_digest="edited"))  # type: ignore[operator]
        assert 5 == len(keys)
        assert key(job, **digests, fault_digest="f") == key(job, **digests)  # type: ignore[operator]


def test_a_read_of_a_struck_write_is_another_read() -> None:
    """Its id names the write, and what it reads has another digest anyway."""
    struck = replace(READ, written_strike=Strike(fault="one", seed=0))
    assert ("one@r1+one>merged>r2", "one@r1+one") == (struck.id, struck.written_id)
    assert read_key(READ, **READ_DIGESTS) != read_key(struck, **READ_DIGESTS)
    assert "one@r1>merged>r2+two" == replace(READ, strike=Strike(fault="two", seed=0)).id
