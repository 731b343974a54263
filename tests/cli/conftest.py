"""Runs the command in this process, in a folder of the test's own, and keeps what it said and where."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.cells.records import Outcomes, ResolvedCell, TorchSource
from harness.cli import main as cli
from harness.cli.console import stderr
from harness.errors import EnvironmentBuildError
from harness.planning.matrix import load_matrix
from harness.records.cases import Cell

NEWEST = {"transformers": "5.23.0", "peft": "0.21.2", "trl": "1.16.0"}


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Stream(io.StringIO):
    """A stream that is a terminal, or is not."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        """What rich asks."""
        return self.terminal


@pytest.fixture(autouse=True)
def _own_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A console and a working folder of this test's own; nothing of the caller's terminal."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.chdir(tmp_path)
    stderr.cache_clear()
    yield
    stderr.cache_clear()


@pytest.fixture
def deltaproof(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """`deltaproof ARGUMENTS`: the whole command, with its exit code."""

    def run(*arguments: str | Path, terminal: bool = False) -> Said:
        out, err = Stream(terminal=False), Stream(terminal=terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "argv", ["deltaproof", *map(str, arguments)])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
        assert isinstance(stopped.value.code, int)
        return Said(stopped.value.code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> dict[str, EnvironmentBuildError]:
    """Rows resolve to what they ask for, without the registry; but for those that a test puts in here."""
    failed: dict[str, EnvironmentBuildError] = {}

    def resolve_all(cells: tuple[Cell, ...], *_arguments: object, **_options: object) -> Outcomes[ResolvedCell]:
        return Outcomes(
            done={cell.name: _resolved(cell) for cell in cells if cell.name not in failed},
            failed={cell.name: failed[cell.name] for cell in cells if cell.name in failed},
        )

    monkeypatch.setattr("harness.cli.plan.resolve_all", resolve_all)
    return failed


def _resolved(cell: Cell) -> ResolvedCell:
    versions = {name: NEWEST[name] if version == "newest" else version for name, version in cell.requirements.items()}
    return ResolvedCell(
        cell=cell, lock_path=Path("lock"), lock_digest="0" * 64, versions=versions, torch_source=TorchSource()
    )


@pytest.fixture
def rows() -> list[str]:
    """Names of the real matrix's rows."""
    return [cell.name for cell in load_matrix(Path(__file__).parents[2] / "cases" / "matrix.toml").cells]
