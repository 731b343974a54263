"""Builders of rows and locks, and a uv of our own that resolves and installs from nothing, fails, or takes its time."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.cells import pip_settings, uv_tool
from harness.cells.records import ResolvedCell, TorchSource
from harness.records.cases import Cell, Matrix, Stack

FAKE_UV = Path(__file__).with_name("fake_uv.py")
CUTOFF = "2026-11-01T00:00:00Z"


def a_cell(name: str = "row", *, stack: Stack = "torch_peft", newest: bool = False, **requirements: str) -> Cell:
    """A row that requires `requirements`."""
    return Cell(name=name, why="", stack=stack, requirements=requirements, newest=newest)


def a_matrix(*cells: Cell, **shared: str) -> Matrix:
    """A matrix of `cells`, which share `shared`, and nothing by their stacks."""
    return Matrix(cutoff=CUTOFF, shared=shared, stacks={cell.stack: {} for cell in cells}, cells=cells)


def a_resolved_cell(folder: Path, versions: Mapping[str, str], name: str = "row") -> ResolvedCell:
    """A row whose lock, of `versions` and with no hashes, lies in `folder`."""
    lock = folder / f"{name}.txt"
    lock.write_text("".join(f"{package}=={version}\n" for package, version in versions.items()))
    return ResolvedCell(
        cell=a_cell(name), lock_path=lock, lock_digest=f"{name:0<64}", versions=versions, torch_source=TorchSource()
    )


@dataclass(frozen=True, slots=True)
class FakeUv:
    """`fake_uv.py`, as a program that is told what to do by the files beside it."""

    program: Path

    def tell(self, **settings: str) -> None:
        """Set what it does from now on: see `fake_uv.py`."""
        for name, value in settings.items():
            (self.program.parent / name).write_text(value)

    @property
    def calls(self) -> list[list[str]]:
        """The words of each call until now."""
        log = self.program.parent / "calls"
        return [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def verbs(self) -> list[str]:
        """The first word of each call until now: compile, venv or sync."""
        return [words[1] if words[0] == "pip" else words[0] for words in self.calls]


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    """A uv that is found instead of the real one."""
    program = tmp_path / "fake" / "uv"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE_UV}" "$0" "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(uv_tool, "find_uv", lambda: str(program))
    return FakeUv(program)


@pytest.fixture
def pip_listing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what pip says that its configuration is, and takes its environment variable away."""

    def set_listing(text: str) -> None:
        monkeypatch.setattr(pip_settings, "configured", lambda: pip_settings.parse_listing(text))

    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    set_listing("")
    return set_listing
