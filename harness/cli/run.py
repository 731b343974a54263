"""`deltaproof run`: the matrix, or a part of it."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.cli.progress import RunProgress
from harness.errors import UsageError
from harness.runs.publish import publish
from harness.runs.request import RunRequest, load_catalogue
from harness.runs.workflow import run as run_workflow
from reports import json_report, terminal


def run(
    cells: Annotated[str, typer.Option(help="Rows of cases/matrix.toml, with commas; all if left out.")] = "",
    here: Annotated[bool, typer.Option("--here", help="Use the environment at hand instead of building any.")] = False,
    expression: Annotated[str, typer.Option("-k", help="Only results whose id matches: words, and, or, not.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="The cases of a pull request only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Train, save, reload and judge: every case in every row, and every row reading what the others wrote."""
    if here and cells:
        raise UsageError("--here and --cells exclude each other", next_step="Leave one of them out.")
    request = RunRequest(
        out=out,
        cells=tuple(name for name in cells.split(",") if name),
        here=here,
        expression=expression,
        quick=quick,
        today=datetime.now(UTC).date(),
        command=shlex.join(["deltaproof", *sys.argv[1:]]),
    )
    catalogue = load_catalogue()
    with RunProgress(stderr()) as progress:
        report = run_workflow(request, catalogue, progress=progress, cell_progress=progress.cell)
    views = publish(report, out)
    stderr().print(terminal.summary(report))
    stderr().print(f"report: {views.html}", markup=False, highlight=False)
    if as_json:
        write_stdout(json_report.render(report))
    raise typer.Exit(report.exit_code)
