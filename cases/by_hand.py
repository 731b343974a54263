"""The jobs of `pytest cases -n auto`: every case that the environment at hand can run, without an engine."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from harness.planning.cases import load_cases
from harness.planning.expand import applies
from harness.planning.families import load_families
from harness.records.jobs import WriteJob

HERE = Path(__file__).parent
CELL = "here"


def jobs_for_this_environment() -> list[WriteJob]:
    """One write a case, with empty paths: each test makes its own folder."""
    families = load_families(HERE / "families")
    versions = {name: metadata.version(name) for name in ("torch", "transformers", "peft", "trl") if _has(name)}
    return [
        WriteJob(id=f"{case.name}@{CELL}", case=case, family=families[case.family], writer=CELL, base="", directory="")
        for case in load_cases(HERE / "roundtrips", families)
        if not case.full_count and not case.cells and applies(case, families[case.family], versions) is None
    ]


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True
