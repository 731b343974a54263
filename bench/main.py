"""Measures what the project promises about speed, and prints it beside the promise: `nox -s bench`.

Every part works in a fresh output folder, which is removed at the end. Judges nothing: a figure over its limit is
marked, and a machine that is slow or busy is no failure.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.table import Table

from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.cli.console import DEFAULT_OUT, stderr, write_stdout
from harness.errors import EnvironmentBuildError, ExitCode
from harness.planning.matrix import select_cells
from harness.records.results import Report
from harness.runs.request import Catalogue, load_catalogue
from reports.json_report import read_report

ROOT = Path(__file__).parent.parent
ENDED = (ExitCode.OK, ExitCode.FAILED, ExitCode.INCONCLUSIVE)
"""Exits after which every result was made; whether it passed is not what is measured here."""
IMPORTS = "import torch, transformers, peft, trl, pytest"
FULL_COUNT = "full_count"

WARM_LIMIT_S = 300.0
FULL_COUNT_LIMIT_S = 240.0
FULL_COUNT_LIMIT_GIB = 8.0
RERUN_LIMIT_S = 15.0


class Part(StrEnum):
    """What can be measured, in this order: each finds what those before it have left."""

    BUILD = "build"
    WARM = "warm"
    FULL = "full"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number."""

    part: Part
    what: str
    value: float
    unit: str
    limit: float | None = None
    """What the project promises it to be below; None where it promises nothing."""


class Ended(NamedTuple):
    """One `deltaproof run` as a process."""

    report: Report
    wall_s: float
    peak_gib: float
    """Of the largest of its processes: the command itself, or one of a cell's."""


def main(
    only: Annotated[str, typer.Option(help="Parts, with commas: build, warm, full, rerun; all if left out.")] = "",
    cells: Annotated[str, typer.Option(help="Rows of cases/matrix.toml, with commas; all if left out.")] = "",
    expression: Annotated[str, typer.Option("-k", help="What a warm run is of.")] = f"not {FULL_COUNT}",
    cold: Annotated[bool, typer.Option("--cold", help="Build with uv's cache empty: downloads everything.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON on stdout.")] = False,
    out: Annotated[Path, typer.Option(help="Where the folder to work in is made.")] = DEFAULT_OUT,
) -> None:
    """Measure and print."""
    try:
        parts = [Part(name) for name in only.split(",") if name] or list(Part)
    except ValueError as error:
        raise typer.BadParameter(f"{error}: expected some of {', '.join(Part)}", param_hint="--only") from error
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=out.absolute()) as folder:
        figures = list(measure(parts, Path(folder), tuple(name for name in cells.split(",") if name), expression, cold))
    stderr().print(table_of(figures))
    if as_json:
        write_stdout(json.dumps([asdict(figure) for figure in figures], indent=1))


def measure(parts: list[Part], out: Path, names: tuple[str, ...], expression: str, cold: bool) -> Iterator[Figure]:
    """The figures of `parts`, for the rows `names` (all if there are none)."""
    catalogue = load_catalogue()
    with uv_cache(out / "uv" if cold else None):
        figures, built = build(catalogue, names, out)
    if Part.BUILD in parts:
        yield from figures
    rows = ("--cells", ",".join(built))
    done = []
    if Part.WARM in parts or (Part.RERUN in parts and Part.FULL not in parts):
        ended = deltaproof(out, *rows, "-k", expression)
        done.append(expression)
        if Part.WARM in parts:
            yield from warm(ended)
    if Part.FULL in parts:
        cases = [case for case in catalogue.cases if case.full_count]
        for row in (name for name in built if any(not case.cells or name in case.cells for case in cases)):
            yield from full(row, deltaproof(out, "--cells", row, "-k", FULL_COUNT))
        done.append(FULL_COUNT)
    if Part.RERUN in parts:
        ended = deltaproof(out, *rows, "-k", " or ".join(f"({each})" for each in done))
        yield from rerun(ended)


def build(catalogue: Catalogue, names: tuple[str, ...], out: Path) -> tuple[list[Figure], Mapping[str, BuiltCell]]:
    """Every row resolved and built in `out`, and imported once. Raises the first EnvironmentBuildError, if any."""
    wanted = select_cells(catalogue.matrix, names)
    started = time.monotonic()
    resolved = resolve_all(wanted, catalogue.matrix, out=out, day=datetime.now(UTC).date())
    locked = time.monotonic()
    built = build_all(resolved.done.values(), out=out)
    installed = time.monotonic()
    for error in (*resolved.failed.values(), *built.failed.values()):
        raise error
    # The first import compiles what was installed. A run in environments that are there has that behind it.
    for row in built.done.values():
        variables = cell_environment(scratch=out / "scratch", code=out / "scratch")
        subprocess.run([str(row.python), "-c", IMPORTS], env=variables, check=True)
    figures = [
        Figure(part=Part.BUILD, what=f"{len(wanted)} environments resolved", value=locked - started, unit="s"),
        Figure(part=Part.BUILD, what=f"{len(wanted)} environments built", value=installed - locked, unit="s"),
        Figure(part=Part.BUILD, what="imported for the first time", value=time.monotonic() - installed, unit="s"),
        Figure(part=Part.BUILD, what="all of it", value=time.monotonic() - started, unit="s"),
    ]
    return figures, built.done


def warm(ended: Ended) -> Iterator[Figure]:
    """A run whose environments are there, and its results not."""
    timings_s = ended.report.timings_s
    what = f"{len(ended.report.results)} results in {len(ended.report.cells)} rows ({ended.report.verdict})"
    yield Figure(part=Part.WARM, what=what, value=ended.wall_s, unit="s", limit=WARM_LIMIT_S)
    for phase in ("base", "write", "digest", "read", "judge"):
        yield Figure(part=Part.WARM, what=f"of it: {phase}", value=timings_s[phase], unit="s")
    share = 100 * timings_s["import"] / timings_s["processes"]
    yield Figure(part=Part.WARM, what="imports, of the cells' processes' time", value=share, unit="%")


def full(row: str, ended: Ended) -> Iterator[Figure]:
    """One row's cases at full count."""
    what = f"{row}: {len(ended.report.results)} results ({ended.report.verdict})"
    yield Figure(part=Part.FULL, what=what, value=ended.wall_s, unit="s", limit=FULL_COUNT_LIMIT_S)
    for phase in ("write", "read"):
        yield Figure(part=Part.FULL, what=f"{row}: of it: {phase}", value=ended.report.timings_s[phase], unit="s")
    what = f"{row}: memory of the largest process"
    yield Figure(part=Part.FULL, what=what, value=ended.peak_gib, unit="GiB", limit=FULL_COUNT_LIMIT_GIB)


def rerun(ended: Ended) -> Iterator[Figure]:
    """A run of which everything is there already."""
    results = [result for result in ended.report.results if result.directory]
    reused = sum(result.reused for result in results)
    what = f"{reused} of {len(results)} results reused ({ended.report.verdict})"
    yield Figure(part=Part.RERUN, what=what, value=ended.wall_s, unit="s", limit=RERUN_LIMIT_S)


def deltaproof(out: Path, *options: str) -> Ended:
    """`deltaproof run` in `out`, from the start of its process to its end."""
    command = [sys.executable, "-m", "harness.cli.main", "run", "--out", str(out), *options]
    latest = out / "latest"
    latest.unlink(missing_ok=True)  # so that a run that breaks down is not taken for the one before it
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT)
    # Not process.wait(): this tells what the process and those that it waited for have used.
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ENDED or not latest.exists():
        raise subprocess.CalledProcessError(process.returncode, command)
    report = read_report(out / "runs" / latest.read_text(encoding="utf-8").strip() / "report.json")
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return Ended(report, wall_s, usage.ru_maxrss * bytes_per_unit / 2**30)


@contextmanager
def uv_cache(folder: Path | None) -> Iterator[None]:
    """uv with its cache in `folder`; where it is, for None."""
    name = "UV_CACHE_DIR"
    before = os.environ.get(name)
    if folder is not None:
        os.environ[name] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def table_of(figures: list[Figure]) -> Table:
    """The figures for people."""
    table = Table("part", "what", "measured", "limit", title="bench")
    for figure in figures:
        over = figure.limit is not None and figure.value > figure.limit
        limit = "" if figure.limit is None else f"{figure.limit:g} {figure.unit}" + (" (over)" if over else "")
        measured = f"{figure.value:.1f} {figure.unit}"
        table.add_row(figure.part, figure.what, measured, limit, style="red" if over else None)
    return table


if __name__ == "__main__":
    try:
        typer.run(main)
    except EnvironmentBuildError as error:
        stderr().print(f"{error}\n{error.log}", style="red", markup=False, highlight=False)
        sys.exit(ExitCode.ENVIRONMENT)
