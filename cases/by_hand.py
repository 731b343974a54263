"""The jobs of `pytest cases -n auto`: every case that the environment at hand can run, without an engine."""

from __future__ import annotations

import sys
from functools import cache
from importlib import metadata
from pathlib import Path

from harness.planning.cases import load_cases
from harness.planning.expand import applies
from harness.planning.families import load_families
from harness.planning.stacks import NEEDS, stack_of
from harness.records.cases import Stack
from harness.records.jobs import WriteJob

HERE = Path(__file__).parent
CELL = "here"


@cache
def stack_of_this_environment() -> Stack:
    """The stack that is installed here. Raises UsageError if none is."""
    return stack_of(_versions(), where=sys.prefix)


def jobs_for_this_environment() -> list[WriteJob]:
    """One write a case, with empty paths: each test makes its own folder."""
    families = load_families(HERE / "families")
    stack, versions = stack_of_this_environment(), _versions()
    return [
        WriteJob(id=f"{case.name}@{CELL}", case=case, family=families[case.family], writer=CELL, base="", directory="")
        for case in load_cases(HERE / "roundtrips", families)
        if not case.full_count and not case.cells and applies(case, families[case.family], stack, versions) is None
    ]


def _versions() -> dict[str, str]:
    names = dict.fromkeys(name for packages in NEEDS.values() for name in packages)
    return {name: metadata.version(name) for name in names if _has(name)}


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
