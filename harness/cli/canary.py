"""`deltaproof canary`: do upstream's own guards still guard?"""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.canaries.publish import publish
from harness.canaries.rules import load_rules
from harness.canaries.workflow import CanaryRequest, run_canaries
from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.cli.progress import RunProgress
from harness.errors import UsageError
from harness.runs.request import load_catalogue
from reports.canaries import json_document, terminal


def canary(
    package: Annotated[list[str] | None, typer.Option(help="Whose guards; all packages if none is named.")] = None,
    version: Annotated[str, typer.Option(help="A release of the registry.")] = "",
    newest: Annotated[bool, typer.Option("--newest", help="The registry's newest release.")] = False,
    path: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder or a git checkout.")] = None,
    since: Annotated[str, typer.Option(help="Every release from this one on.")] = "",
    until: Annotated[str, typer.Option(help="Every release up to this one.")] = "",
    rule: Annotated[list[str] | None, typer.Option("--rule", "-k", help="Only this guard, by its name.")] = None,
    seed: Annotated[str, typer.Option(help="What guards are given is drawn from it; random if empty.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="The report as JSON on stdout; its schema is reports/canaries/schema.json.")
    ] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Execute the guards of upstream packages, apart from everything, and say which still hold.

    Without a version the installed one is looked at, or the newest if none is installed.
    """
    ways = [name for name, said in (("--version", version), ("--newest", newest), ("--path", path),
                                    ("--since or --until", since or until)) if said]  # fmt: skip
    if len(ways) > 1:
        raise UsageError("mean different sources", where=" and ".join(ways), expected="one of them")
    if (version or path) and len(package or ()) != 1:
        raise UsageError("of which package?", where=ways[0], expected="--package with it")
    request = CanaryRequest(
        out=out,
        packages=tuple(package or ()),
        version=version,
        newest=newest,
        path=path,
        since=since,
        until=until,
        rules=tuple(rule or ()),
        seed=seed,
        today=datetime.now(UTC).date(),
        command=shlex.join(["deltaproof", *sys.argv[1:]]),
    )
    rules, matrix = load_rules(), load_catalogue().matrix
    with RunProgress(stderr()) as progress:
        report = run_canaries(request, rules, matrix, cell_progress=progress.cell)
    stderr().print(terminal.summary(report))
    views = publish(report, out)
    stderr().print(f"report: {views.json}", markup=False, highlight=False)
    if as_json:
        write_stdout(json_document.render(report))
    raise typer.Exit(report.exit_code)
