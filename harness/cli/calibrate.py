"""`deltaproof calibrate`: measure where each tolerance stands."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from harness.calibration.workflow import Calibration
from harness.calibration.workflow import calibrate as run_calibration
from harness.cli.console import DEFAULT_OUT, OUT_HELP, stderr, write_stdout
from harness.cli.places import check_place
from harness.cli.progress import RunProgress
from harness.judging.gates import GATES_PATH
from harness.runs.request import load_catalogue
from reports.files import write_text


def calibrate(
    seeds: Annotated[int, typer.Option(min=1, help="Clean trainings of each case.")] = 4,
    file: Annotated[Path | None, typer.Option(help="Write the table there; else it goes to stdout.")] = None,
    out: Annotated[Path, typer.Option(help=OUT_HELP)] = DEFAULT_OUT,
) -> None:
    """Measure the noise of clean repetitions and the nearest fault, and place every gate between them."""
    if file is not None:
        check_place("--file", file)
    command = f"deltaproof calibrate --seeds {seeds}"  # where somebody keeps things is no part of what was measured
    catalogue = load_catalogue()
    with RunProgress(stderr()) as progress:
        found = run_calibration(
            out,
            catalogue,
            num_seeds=seeds,
            today=datetime.now(UTC).date(),
            command=command,
            progress=progress,
            cell_progress=progress.cell,
        )
    stderr().print(_table(found))
    if file is None:
        write_stdout(found.text)
    else:
        write_text(file, found.text)
        stderr().print(f"table: {file}", markup=False, highlight=False)
        if file.resolve() != GATES_PATH:
            stderr().print(f"the one that judges is {GATES_PATH}", markup=False, highlight=False)


def _table(found: Calibration) -> Table:
    table = Table(title=f"{found.num_clean} clean results, {found.num_struck} struck", title_justify="left")
    for column in ("metric", "of", "dtypes", "noise", "gate", "nearest fault", "carries"):
        table.add_column(column)
    for policy, placed in found.gates:
        where = "".join(f" {word}" for word in (*policy.forms, *policy.reaches))
        nearest = "" if placed.nearest is None else f"{placed.nearest:.2g} {placed.nearest_fault}"
        table.add_row(
            Text(policy.metric),
            " ".join(policy.kinds) + where,
            " ".join(policy.dtypes),
            "" if placed.noise is None else f"{placed.noise:.2g} of {placed.num_clean}",
            f"{placed.bound:.2g}",
            Text(nearest),
            "yes" if placed.carries else "no",
        )
    return table
