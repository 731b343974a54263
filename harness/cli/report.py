"""`deltaproof report {html,json,junit,md}`: a finished run in one of its views."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.records.results import Report
from harness.runs.publish import LATEST, find_report
from reports import html, json_report, junit, markdown
from reports.files import write_text

app = typer.Typer(help="Show a finished run as html, json, junit or md.", no_args_is_help=True, rich_markup_mode=None)

RunArgument = Annotated[str, typer.Argument(help="A run id, a path to a report.json, or latest.")]
FileOption = Annotated[Path | None, typer.Option("--file", "-f", help="Write there instead of to stdout.")]
OutOption = Annotated[Path, typer.Option(help=OUT_HELP)]


def _add(name: str, what: str, render: Callable[[Report], str]) -> None:
    def view(run: RunArgument = LATEST, file: FileOption = None, out: OutOption = DEFAULT_OUT) -> None:
        text = render(json_report.read_report(find_report(run, out)))
        if file is None:
            write_stdout(text)
        else:
            write_text(file, text)
            stderr().print(f"wrote {file}", markup=False, highlight=False)

    app.command(name, help=f"The report as {what}.")(view)


_add("html", "one self-contained HTML page", html.render)
_add("json", "JSON (its schema is reports/schema.json)", json_report.render)
_add("junit", "JUnit XML", junit.render)
_add("md", "Markdown for a CI summary", markdown.render)
