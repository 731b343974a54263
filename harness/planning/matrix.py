"""`cases/matrix.toml` to the rows of a run. Owns what a row may say; must not know how rows are resolved or built."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.errors import CaseError, UsageError
from harness.planning.toml_files import read_toml
from harness.records.cases import STACKS, Cell, Matrix

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
RESERVED = ("here",)
"""Names that mean something else on the command line."""


def load_matrix(path: Path) -> Matrix:
    """The matrix in `path`. Raises CaseError: a bad file, key, date, version or name, or no rows at all."""
    matrix = read_toml(Matrix, path)
    _check_cutoff(matrix.cutoff, path.name)
    _check_requirements(matrix.shared, f"{path.name}: shared")
    for stack, requirements in matrix.stacks.items():
        _check_stack(stack, requirements, matrix, f"{path.name}: stacks.{stack}")
    if not matrix.cells:
        raise CaseError("no rows", where=path.name, expected="[[cells]] tables")
    for name, count in Counter(cell.name for cell in matrix.cells).items():
        if count > 1:
            raise CaseError("this row is declared twice", where=f"{path.name}: {name}")
    for cell in matrix.cells:
        _check_cell(cell, matrix, f"{path.name}: {cell.name}")
    return matrix


def select_cells(matrix: Matrix, names: Sequence[str] = ()) -> tuple[Cell, ...]:
    """The rows called `names`, in the matrix's order; all for no names. Raises UsageError on an unknown one."""
    known = {cell.name: cell for cell in matrix.cells}
    for name in names:
        if name not in known:
            raise UsageError("unknown cell", expected=f"one of {', '.join(known)}", got=repr(name))
    return tuple(cell for cell in matrix.cells if not names or cell.name in names)


def _check_cell(cell: Cell, matrix: Matrix, where: str) -> None:
    # A name becomes part of file names, of results' ids ("case@writer>form>reader") and of nox sessions.
    if not _NAME.fullmatch(cell.name) or cell.name in RESERVED:
        raise CaseError(
            "not a name for a row", where=where, expected="lower-case letters, digits, _ . -", got=cell.name
        )
    if cell.stack not in matrix.stacks:
        known = ", ".join(matrix.stacks) or "none"
        expected = f"a table [stacks.{cell.stack}]"
        raise CaseError("the row's stack has no table", where=where, expected=expected, got=known)
    if not cell.requirements:
        raise CaseError("the row requires nothing of its own", where=where)
    for package, version in cell.requirements.items():
        if package in matrix.shared or package in matrix.stacks[cell.stack]:
            raise CaseError("the row requires what is shared already", where=f"{where}: {package}")
        if version != "newest":
            _check_version(version, f"{where}: {package}")
    # The newest row is where a skip is a failure; with a version held back it would not be the newest.
    held_back = sorted(package for package, version in cell.requirements.items() if version != "newest")
    if cell.newest and held_back:
        raise CaseError("the newest row holds a version back", where=f"{where}: {held_back[0]}", expected="newest")


def _check_stack(stack: str, requirements: Mapping[str, str], matrix: Matrix, where: str) -> None:
    if stack not in STACKS:
        raise CaseError("unknown stack", where=where, expected=f"one of {', '.join(STACKS)}", got=stack)
    _check_requirements(requirements, where)
    for package in requirements:
        if package in matrix.shared:
            raise CaseError("the stack requires what is shared already", where=f"{where}: {package}")


def _check_requirements(requirements: Mapping[str, str], where: str) -> None:
    for package, specifier in requirements.items():
        _check_specifier(specifier, f"{where}: {package}")


def _check_cutoff(cutoff: str, where: str) -> None:
    try:
        moment = datetime.fromisoformat(cutoff)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        expected = "a moment with its time zone, such as 2026-11-01T00:00:00Z"
        raise CaseError("not a moment", where=f"{where}: cutoff", expected=expected, got=repr(cutoff))


def _check_specifier(specifier: str, where: str) -> None:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise CaseError(
            "not a specifier", where=where, expected='such as "==2.1", or ""', got=repr(specifier)
        ) from error


def _check_version(version: str, where: str) -> None:
    try:
        Version(version)
    except InvalidVersion as error:
        raise CaseError(
            "not a version", where=where, expected='an exact version or "newest"', got=repr(version)
        ) from error
