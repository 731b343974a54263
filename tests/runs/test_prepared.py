"""Rows that are built for what is no run of the matrix, and jobs that are executed in them once each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.errors import EnvironmentBuildError, ExitCode, StorageError
from harness.execution.outcome import WorkingCell
from harness.runs import prepared as module
from harness.runs.prepared import Prepared, execute_in, prepare
from harness.runs.request import RunRequest, load_catalogue
from harness.runs.workflow import Row
from tests.reports.conftest import make_cell

MATRIX = load_catalogue().matrix


class Job(NamedTuple):
    """What an engine looks at first."""

    id: str


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[RunRequest]:
    """What rows were asked for: each is built, but r3."""
    requests: list[RunRequest] = []

    def prepare_cells(request: RunRequest, *_: Any) -> dict[str, Row]:
        requests.append(request)
        return {name: row(name) for name in request.cells}

    def row(name: str) -> Row:
        if name == "r3":
            return Row(report=make_cell("r3", error="no solution"), working=None)
        working = WorkingCell(
            name=name, stack="torch_peft", python=tmp_path / "python", lock_digest="0", environment={}
        )
        report = replace(make_cell("r1"), name=name)
        return Row(report=replace(report, requirements={**report.requirements, "absent": "1"}), working=working)

    monkeypatch.setattr(module, "prepare_cells", prepare_cells)
    return requests


def prepare_in(out: Path, rows: Sequence[str]) -> Prepared:
    """As faults and calibration do."""
    return prepare("faults", rows, MATRIX, out=out, today=date(2026, 11, 22), command="deltaproof faults")


def test_each_row_is_built_once_and_the_run_says_its_kind(tmp_path: Path, asked: list[RunRequest]) -> None:
    """In the order in which they are first named, with the versions of what they ask for."""
    ready = prepare_in(tmp_path, ["r2", "r1", "r2"])
    assert ("r2", "r1") == asked[0].cells == tuple(ready.cells)
    assert ready.run_id.startswith(f"faults-{ready.started:%Y%m%dT%H%M%S}-")
    assert (tmp_path / "runs" / ready.run_id / "logs").is_dir()
    assert {"transformers": "5.5.0", "peft": "0.19.1", "trl": "0.25.1"} == ready.versions["r1"]


@pytest.mark.usefixtures("asked")
def test_a_row_that_cannot_be_built_ends_it(tmp_path: Path) -> None:
    """Exit 4, with its name and the builder's words: a matrix without it would claim what nobody looked at."""
    with pytest.raises(EnvironmentBuildError, match="the row r3: cannot be built") as raised:
        prepare_in(tmp_path, ["r1", "r3"])
    assert ("no solution", ExitCode.ENVIRONMENT) == (raised.value.log, raised.value.exit_code)


def test_a_folder_that_is_a_file_is_told_before_anything_is_built(tmp_path: Path, asked: list[RunRequest]) -> None:
    """Only the user can mend it."""
    (tmp_path / "out").write_text("a file")
    with pytest.raises(StorageError, match="out"):
        prepare_in(tmp_path / "out", ["r1"])
    assert [] == asked


@pytest.mark.usefixtures("asked")
def test_a_job_that_is_named_twice_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Struck reads share a clean write; the engine gets each once, in the rows that were built."""
    given: list[Any] = []
    monkeypatch.setattr(module, "execute", lambda *arguments, **_options: given.append(arguments))
    monkeypatch.setattr(module, "snapshot", lambda _store: None)
    ready = prepare_in(tmp_path, ["r1"])
    execute_in(ready, [Job("w"), Job("w"), Job("v")], [Job("x"), Job("x")])  # type: ignore[list-item]
    [(writes, reads, cells)] = given
    assert ([Job("w"), Job("v")], [Job("x")], {"r1"}) == (writes, reads, set(cells))
