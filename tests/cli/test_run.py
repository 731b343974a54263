"""`deltaproof run`, with the workflow's place taken: what it is asked, what is shown, what it exits with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli.progress import RunProgress
from harness.errors import ExitCode
from harness.records.results import Report
from harness.runs.request import RunRequest
from reports import json_report
from tests.cli.conftest import Said, Stream
from tests.reports.conftest import broken, make_report, make_result

Command = Callable[..., Said]
ESCAPE = "\x1b"
FAILING = make_report([broken(make_result(), "delta_missing experts 1/48")], full_count=())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunRequest]:
    """The requests that the workflow got; it answers with a sample report, after some progress."""
    requests: list[RunRequest] = []

    def run(request: RunRequest, _catalogue: object, *, progress: RunProgress, **_options: object) -> Report:
        requests.append(request)
        play(progress)
        return FAILING

    monkeypatch.setattr("harness.cli.run.run_workflow", run)
    return requests


def play(progress: RunProgress) -> None:
    """One phase of two jobs, one of which fails, in a cell that dies."""
    progress.cell("r1", "building")
    progress.cell("r1", "built")
    progress.phase_started("write", 2, 0)
    progress.process_started("write", "r1", 2)
    progress.job_started("write", "r1", "case@r1")
    progress.job_finished("write", "r1", "case@r1", "")
    progress.job_finished("write", "r1", "other@r1", "[red]boom[/red]\nlog")
    progress.cell_died("write", "r1", "killed by signal 9")
    progress.phase_finished("write", 1.4)


def test_what_is_asked_reaches_the_workflow(deltaproof: Command, asked: list[RunRequest]) -> None:
    """Rows, expression, quick, folder, and the command as typed; nothing is everything."""
    deltaproof("run", "--cells", "r1,r3", "-k", "lora and not trl", "--quick", "--out", "o")
    deltaproof("run")
    narrow, wide = asked
    assert (("r1", "r3"), "lora and not trl", True, Path("o"), False) == (
        narrow.cells, narrow.expression, narrow.quick, narrow.out, narrow.here,
    )  # fmt: skip
    assert "deltaproof run --cells r1,r3 -k 'lora and not trl' --quick --out o" == narrow.command
    assert ((), "", False, Path("reports/out")) == (wide.cells, wide.expression, wide.quick, wide.out)


@pytest.mark.usefixtures("asked")
def test_json_is_the_report_and_alone_on_stdout(deltaproof: Command) -> None:
    """The report that was published, word for word; people's text is on stderr; the exit code is the report's."""
    report = FAILING
    said = deltaproof("run", "--json", "--out", "o")
    assert (ExitCode.FAILED, json_report.render(report)) == (said.code, said.out)
    assert json.loads(said.out)
    assert said.out == (Path("o/runs") / report.run_id / "report.json").read_text(encoding="utf-8")
    assert report.headline in said.err
    assert f"report: o/runs/{report.run_id}/report.html" in said.err


@pytest.mark.usefixtures("asked")
def test_without_json_stdout_is_empty(deltaproof: Command) -> None:
    """Words are for stderr."""
    assert "" == deltaproof("run").out


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_exit_code_is_the_reports(deltaproof: Command, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Whatever it is."""
    report = replace(FAILING, exit_code=code)
    monkeypatch.setattr("harness.cli.run.run_workflow", lambda *_arguments, **_options: report)
    assert code == deltaproof("run").code


@pytest.mark.usefixtures("asked")
def test_progress_is_plain_lines_where_there_is_no_terminal(deltaproof: Command) -> None:
    """What happened is told line by line, without one control code; at a terminal there are bars."""
    said = deltaproof("run")
    assert ESCAPE not in said.err
    assert "\r" not in said.err
    for words in ("environment r1: built", "train and save: 2 jobs", "other@r1: [red]boom[/red]", "ended early: killed",
                  "train and save: done in 1 s"):  # fmt: skip
        assert words in said.err


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_for_terminals(terminal: bool) -> None:
    """The display moves the cursor at a terminal, and writes nothing but lines elsewhere."""
    stream = Stream(terminal=terminal)
    with RunProgress(Console(file=stream, soft_wrap=True)) as progress:
        play(progress)
    assert terminal == (ESCAPE in stream.getvalue())
    assert "other@r1: [red]boom[/red]" in stream.getvalue()


def test_ctrl_c_is_130_and_one_line(deltaproof: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that what was finished is kept; typer says nothing of it by itself."""

    def interrupted(*_arguments: object, **_options: object) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cli.run.run_workflow", interrupted)
    said = deltaproof("run", "--json")
    assert (ExitCode.INTERRUPTED, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert "interrupted: what was finished is kept, and the same command goes on from there" in said.err
