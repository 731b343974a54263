"""`deltaproof faults`: known bugs, put in on purpose, and which check caught each."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.cli.places import check_place
from harness.cli.progress import RunProgress
from harness.faults.publish import publish
from harness.faults.workflow import FaultsRequest, run_faults
from harness.runs.request import load_catalogue
from reports.faults import html as page
from reports.faults import json_document, terminal
from reports.files import write_text


def faults(
    expression: Annotated[str, typer.Option("-k", help="Only faults and cases that match: words, and, or, not.")] = "",
    seed: Annotated[int, typer.Option(help="Where they hit is drawn from it.")] = 0,
    controls: Annotated[int, typer.Option(min=0, help="Clean runs of other seeds, beside each case's own.")] = 0,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page with the pictures there too.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="The kill matrix as JSON on stdout; its schema is reports/faults/schema.json."),
    ] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Put each known bug into the cases that can have it, and say which check caught it and named the culprit."""
    if html is not None:
        check_place("--html", html)
    request = FaultsRequest(
        out=out,
        expression=expression,
        seed=seed,
        num_controls=controls,
        today=datetime.now(UTC).date(),
        command=shlex.join(["deltaproof", *sys.argv[1:]]),
    )
    catalogue = load_catalogue()
    with RunProgress(stderr()) as progress:
        matrix = run_faults(request, catalogue, progress=progress, cell_progress=progress.cell)
    stderr().print(terminal.summary(matrix))
    views = publish(matrix, out)
    stderr().print(f"report: {views.html}", markup=False, highlight=False)
    if html is not None:
        write_text(html, page.render(matrix))
        stderr().print(f"page: {html}", markup=False, highlight=False)
    if as_json:
        write_stdout(json_document.render(matrix))
    raise typer.Exit(matrix.exit_code)
