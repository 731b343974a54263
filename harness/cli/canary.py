"""`deltaproof canary`: do upstream's own guards still guard?"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from packaging.version import InvalidVersion, Version

from harness.canaries.publish import publish
from harness.canaries.request import CanaryRequest
from harness.canaries.rules import load_rules
from harness.canaries.workflow import run_canaries
from harness.cli.canary_progress import CanaryProgress
from harness.cli.console import DEFAULT_OUT, OUT_HELP, Interrupted, stderr, write_stdout
from harness.cli.places import check_place
from harness.errors import UsageError
from harness.runs.request import load_catalogue
from reports.canaries import html as page
from reports.canaries import json_document, terminal
from reports.canaries import sarif as sarif_document
from reports.files import write_text


def canary(
    package: Annotated[list[str] | None, typer.Option(help="Whose guards; all packages if none is named.")] = None,
    version: Annotated[str, typer.Option(help="A release of the registry.")] = "",
    newest: Annotated[bool, typer.Option("--newest", help="The registry's newest release.")] = False,
    path: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder or a git checkout.")] = None,
    since: Annotated[str, typer.Option(help="Every release from this one on.")] = "",
    until: Annotated[str, typer.Option(help="Every release up to this one.")] = "",
    expression: Annotated[
        str, typer.Option("-k", help="Only guards whose name@package matches: words, and, or, not.")
    ] = "",
    seed: Annotated[str, typer.Option(help="What guards are given is drawn from it; random if empty.")] = "",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the page with the picture there too.")
    ] = None,
    sarif: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the SARIF there too.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON on stdout; its schema is reports/canaries/schema.json.")
    ] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Execute the guards of upstream packages, apart from everything, and say which still hold.

    Without a version the installed one is looked at, or the newest if none is installed.
    """
    _check_source(package or [], version=version, newest=newest, path=path, since=since, until=until)
    for option, file in (("--html", html), ("--sarif", sarif)):
        if file is not None:
            check_place(option, file)
    rules = load_rules(packages=package or (), expression=expression)
    request = CanaryRequest(
        out=out,
        version=version,
        newest=newest,
        path=path,
        since=since,
        until=until,
        expression=expression,
        seed=seed,
        today=datetime.now(UTC).date(),
        command=shlex.join(["deltaproof", *sys.argv[1:]]),
    )
    try:
        with CanaryProgress(stderr()) as progress:
            matrix = load_catalogue().matrix
            report = run_canaries(request, rules, matrix, progress=progress, cell_progress=progress.cell)
    except KeyboardInterrupt:
        raise Interrupted("no report was written; archives and environments are kept") from None
    stderr().print(terminal.summary(report))
    views = publish(report, out)
    stderr().print(f"report: {views.html}", markup=False, highlight=False)
    if html is not None:
        write_text(html, page.render(report))
        stderr().print(f"page: {html}", markup=False, highlight=False)
    if sarif is not None:
        write_text(sarif, sarif_document.render(report))
        stderr().print(f"sarif: {sarif}", markup=False, highlight=False)
    if as_json:
        write_stdout(json_document.render(report))
    raise typer.Exit(report.exit_code)


def _check_source(
    packages: list[str], *, version: str, newest: bool, path: Path | None, since: str, until: str
) -> None:
    """Raise UsageError unless one source is meant, of packages that can have it."""
    ways = {"--version": version, "--newest": newest, "--path": path, "--since or --until": since or until}
    said = [name for name, value in ways.items() if value]
    if len(said) > 1:
        raise UsageError("mean different sources", where=" and ".join(said), expected="one of them")
    if said and said != ["--newest"] and len(packages) != 1:
        raise UsageError("of which package?", where=said[0], expected="--package with it, once")
    for option, value in (("--version", version), ("--since", since), ("--until", until)):
        if value and _parsed(value) is None:
            raise UsageError("is no version", where=f"{option} {value}", expected="one such as 2026.10.9")
    first, last = _parsed(since), _parsed(until)
    if first is not None and last is not None and first > last:
        raise UsageError("comes after --until", where=f"--since {since}", expected=f"{until} or an earlier one")
    if path is not None and not path.is_dir():
        raise UsageError("is no folder", where=f"--path {path}")


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None
