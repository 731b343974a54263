"""`deltaproof plan`: what a run would do, without doing it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from harness.cells.many import resolve_all
from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.errors import ExitCode
from harness.execution.store import Store
from harness.planning.expand import PlanCell, make_plan
from harness.planning.matrix import select_cells
from harness.records.cases import PRINCIPAL
from harness.runs.request import load_catalogue
from harness.runs.selection import parse


def plan(
    cells: Annotated[str, typer.Option(help="Rows of cases/matrix.toml, with commas; all if left out.")] = "",
    expression: Annotated[str, typer.Option("-k", help="Only results whose id matches: words, and, or, not.")] = "",
    quick: Annotated[bool, typer.Option("--quick", help="The cases of a pull request only.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Resolve the rows and list the writes and routes that a run would make, with their counts."""
    catalogue = load_catalogue()
    matches = parse(expression)  # a typo is told before the registry is asked
    wanted = select_cells(catalogue.matrix, tuple(name for name in cells.split(",") if name))
    store = Store(out)
    store.prepare()
    resolved = resolve_all(wanted, catalogue.matrix, out=store.out, day=datetime.now(UTC).date())
    planned = make_plan(
        [case for case in catalogue.cases if case.quick or not quick],
        catalogue.families,
        [
            PlanCell(name=name, stack=row.cell.stack, versions=row.versions, newest=row.cell.newest)
            for name, row in resolved.done.items()
        ],
        matches,
    )
    counts = planned.counts()
    if as_json:
        write_stdout(
            json.dumps(
                {
                    "counts": counts,
                    "cells": {
                        name: {package: row.versions.get(package, "") for package in PRINCIPAL[row.cell.stack]}
                        for name, row in resolved.done.items()
                    },
                    "unresolved": {name: error.log for name, error in resolved.failed.items()},
                    "writes": [write.id for write in planned.writes],
                    "routes": [read.id for read in planned.reads],
                    "skips": [{"id": f"{skip.case.name}@{skip.cell}", "reason": skip.reason} for skip in planned.skips],
                },
                indent=1,
            )
        )
    else:
        table = Table("case", "written by", "routes", title="plan")
        for case in catalogue.cases:
            writers = [write.cell for write in planned.writes if write.case.name == case.name]
            routes = sum(1 for read in planned.reads if read.case.name == case.name)
            if writers:
                table.add_row(case.name, " ".join(writers), str(routes))
        stderr().print(table)
        for skip in planned.skips:
            stderr().print(f"skipped: {skip.case.name}@{skip.cell}: {skip.reason}", markup=False, highlight=False)
        stderr().print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items()))
    for name, error in resolved.failed.items():
        stderr().print(f"cell {name} cannot be resolved: {error}\n{error.log}", markup=False, highlight=False)
    raise typer.Exit(ExitCode.ENVIRONMENT if resolved.failed else ExitCode.OK)
