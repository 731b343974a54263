"""The parts that run the matrix: environments, a warm run, full counts, and a rerun of what is there.

Each works in one output folder, and finds what those before it have left there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.figures import Figure, Part
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.errors import ExitCode
from harness.planning.matrix import select_cells
from harness.records.cases import Case, Cell, Stack
from harness.records.results import Report
from harness.runs.request import Catalogue
from reports.json_report import read_report

ROOT = Path(__file__).parent.parent
ENDED = (ExitCode.OK, ExitCode.FAILED, ExitCode.INCONCLUSIVE)
"""Exits after which every result was made; whether it passed is not what is measured here."""
IMPORTS: Mapping[Stack, str] = {
    "torch_peft": "import torch, transformers, peft, trl, pytest",
    "jax_stacked": "import jax, flax.nnx, optax, pytest",
}
FULL_COUNT = "full_count"

WARM_LIMIT_S = 300.0
FULL_COUNT_LIMIT_S = 240.0
FULL_COUNT_LIMIT_GIB = 8.0
RERUN_LIMIT_S = 15.0


class Ended(NamedTuple):
    """One `deltaproof run` as a process."""

    report: Report
    wall_s: float
    peak_gib: float
    """Of the largest of its processes: the command itself, or one of a cell's."""


def build(
    catalogue: Catalogue, names: Sequence[str], out: Path, *, cold: bool = False
) -> tuple[list[Figure], Mapping[str, BuiltCell]]:
    """Every row resolved and built in `out`, and imported once. Raises the first EnvironmentBuildError, if any."""
    wanted = select_cells(catalogue.matrix, names)
    with uv_cache(out / "uv" if cold else None):
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
        subprocess.run([str(row.python), "-c", IMPORTS[row.resolved.cell.stack]], env=variables, check=True)
    figures = [
        Figure(part=Part.BUILD, what=f"{len(wanted)} environments resolved", value=locked - started, unit="s"),
        Figure(part=Part.BUILD, what=f"{len(wanted)} environments built", value=installed - locked, unit="s"),
        Figure(part=Part.BUILD, what="imported for the first time", value=time.monotonic() - installed, unit="s"),
        Figure(part=Part.BUILD, what="all of it", value=time.monotonic() - started, unit="s"),
    ]
    return figures, built.done


def measure(
    parts: Sequence[Part], catalogue: Catalogue, built: Mapping[str, BuiltCell], expression: str, out: Path
) -> Iterator[Figure]:
    """The figures of those of `parts` that run the matrix, for the rows that are built."""
    rows = ("--cells", ",".join(built))
    done = []
    if Part.WARM in parts or (Part.RERUN in parts and Part.FULL not in parts):
        ended = deltaproof(out, *rows, "-k", expression)
        done.append(expression)
        if Part.WARM in parts:
            yield from warm(ended)
    if Part.FULL in parts:
        cases = [case for case in catalogue.cases if case.full_count]
        for name, row in built.items():
            if any(_concerns(case, row.resolved.cell) for case in cases):
                yield from full(name, deltaproof(out, "--cells", name, "-k", FULL_COUNT))
        done.append(FULL_COUNT)
    if Part.RERUN in parts:
        ended = deltaproof(out, *rows, "-k", " or ".join(f"({each})" for each in done))
        yield from rerun(ended)


def _concerns(case: Case, cell: Cell) -> bool:
    return cell.stack in case.stacks and (not case.cells or cell.name in case.cells)


def warm(ended: Ended) -> Iterator[Figure]:
    """A run whose environments are there, and its results not."""
    timings_s = ended.report.timings_s
    what = f"{len(ended.report.results)} results in {len(ended.report.cells)} rows ({ended.report.verdict})"
    yield Figure(part=Part.WARM, what=what, value=ended.wall_s, unit="s", at_most=WARM_LIMIT_S)
    for phase in ("base", "write", "digest", "read", "judge"):
        yield Figure(part=Part.WARM, what=f"of it: {phase}", value=timings_s[phase], unit="s")
    share = 100 * timings_s["import"] / timings_s["processes"]
    yield Figure(part=Part.WARM, what="imports, of the cells' processes' time", value=share, unit="%")


def full(row: str, ended: Ended) -> Iterator[Figure]:
    """One row's cases at full count."""
    what = f"{row}: {len(ended.report.results)} results ({ended.report.verdict})"
    yield Figure(part=Part.FULL, what=what, value=ended.wall_s, unit="s", at_most=FULL_COUNT_LIMIT_S)
    for phase in ("write", "read"):
        yield Figure(part=Part.FULL, what=f"{row}: of it: {phase}", value=ended.report.timings_s[phase], unit="s")
    what = f"{row}: memory of the largest process"
    yield Figure(part=Part.FULL, what=what, value=ended.peak_gib, unit="GiB", at_most=FULL_COUNT_LIMIT_GIB)


def rerun(ended: Ended) -> Iterator[Figure]:
    """A run of which everything is there already."""
    results = [result for result in ended.report.results if result.directory]
    reused = sum(result.reused for result in results)
    what = f"{reused} of {len(results)} results reused ({ended.report.verdict})"
    yield Figure(part=Part.RERUN, what=what, value=ended.wall_s, unit="s", at_most=RERUN_LIMIT_S)


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
