"""What a run is asked to do, and what it knows before it starts anything. Records, and reading of the cases' folder."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.errors import CaseError
from harness.planning.cases import load_cases
from harness.planning.families import load_families
from harness.planning.known import load_known
from harness.planning.matrix import load_matrix
from harness.records.cases import Case, Family, KnownOutcome, Matrix

HERE = "here"
"""Name of the cell that is the environment at hand (`run --here`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The arguments of `deltaproof run`."""

    out: Path
    cells: tuple[str, ...] = ()
    """Names of rows; empty for all."""
    here: bool = False
    expression: str = ""
    """`-k`."""
    quick: bool = False
    today: date
    command: str
    """As typed, for the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything that people wrote under `cases/`."""

    matrix: Matrix
    families: Mapping[str, Family]
    cases: tuple[Case, ...]
    known: Mapping[str, KnownOutcome]
    fault_cases: tuple[Case, ...] = ()
    """What faults are put into beside `cases`: no part of the matrix."""


def load_catalogue(directory: Path | None = None) -> Catalogue:
    """Read `cases/` (ours, or another folder of the same layout). Raises CaseError naming file and key."""
    root = directory or Path(str(importlib.resources.files("cases")))
    matrix = load_matrix(root / "matrix.toml")
    families = load_families(root / "families")
    cases = load_cases(root / "roundtrips", families)
    names = {case.name for case in cases}
    known = load_known(root / "known.toml", names, {cell.name for cell in matrix.cells} | {HERE})
    more = load_cases(root / "faults", families) if any((root / "faults").glob("*.toml")) else ()
    if twice := sorted(names & {case.name for case in more}):
        raise CaseError("this case is declared twice", where=f"faults: {twice[0]}")
    return Catalogue(matrix=matrix, families=families, cases=cases, known=known, fault_cases=more)
