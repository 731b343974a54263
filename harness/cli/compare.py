"""`deltaproof compare RUN RUN`: what changed between two runs, and which packages moved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness import codec
from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.errors import ExitCode
from harness.history.compare import compare as compare_reports
from harness.runs.publish import find_report
from reports import comparison as views
from reports.json_report import read_report


def compare(
    earlier: Annotated[str, typer.Argument(help="A run id, or a path to a report.json.")],
    later: Annotated[str, typer.Argument(help="A run id, a path to a report.json, or latest.")],
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """List what got worse or better, came or went, and which packages moved. Exit 1 if anything got worse."""
    found = compare_reports(read_report(find_report(earlier, out)), read_report(find_report(later, out)))
    stderr().print(views.terminal(found))
    if as_json:
        write_stdout(codec.dumps(found))
    raise typer.Exit(ExitCode.FAILED if found.got_worse else ExitCode.OK)
