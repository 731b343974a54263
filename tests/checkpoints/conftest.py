"""Builders for the checkpoint tests: the real families, cases of them, and base checkpoints on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.base import write_base
from harness.planning.families import load_families
from harness.records.cases import AdapterSpec, Case, Family

FAMILIES = load_families(Path(__file__).parents[2] / "cases" / "families")


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Family:
    """Each family of `cases/families`."""
    return FAMILIES[request.param]


@pytest.fixture
def qwen3_moe() -> Family:
    """The plain mixture of experts."""
    return FAMILIES["qwen3_moe"]


def make_case(family: Family, **changes: Any) -> Case:
    """A case of `family`, with `changes`."""
    case = Case(
        name="tiny",
        why="",
        family=family.name,
        dtype="float32",
        trainer="loop",
        adapter=AdapterSpec(adapt=("attention",)),
    )
    return replace(case, **changes)


@pytest.fixture
def case_of() -> Callable[..., Case]:
    """`make_case`."""
    return make_case


@pytest.fixture
def base_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes the base checkpoint of a family's case, into a directory of its own."""

    def write(family: Family, **changes: Any) -> Path:
        directory = tmp_path / f"base{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        write_base(directory, family, make_case(family, **changes))
        return directory

    return write
