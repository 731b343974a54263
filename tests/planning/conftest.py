"""What is really under `cases/`, and the versions of FACTS: the matrix's rows, with the newest as it was on one day."""

from __future__ import annotations

import pytest

from harness.planning.expand import Plan, PlanCell, make_plan
from harness.runs.request import Catalogue, load_catalogue

NEWEST = {"transformers": "5.23.0", "peft": "0.21.2", "trl": "1.16.0"}
"""Of 2026-11-21."""


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The repository's cases."""
    return load_catalogue()


@pytest.fixture(scope="session")
def rows(catalogue: Catalogue) -> tuple[PlanCell, ...]:
    """The matrix's rows as they resolve."""
    return tuple(
        PlanCell(
            name=cell.name,
            stack=cell.stack,
            versions={
                package: NEWEST[package] if version == "newest" else version
                for package, version in cell.requirements.items()
            },
            newest=cell.newest,
        )
        for cell in catalogue.matrix.cells
    )


@pytest.fixture(scope="session")
def plan(catalogue: Catalogue, rows: tuple[PlanCell, ...]) -> Plan:
    """What `deltaproof run` would do."""
    return make_plan(catalogue.cases, catalogue.families, rows)
