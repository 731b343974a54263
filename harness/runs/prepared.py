"""What is no run of the matrix, but works in its rows: all of them built, or an error; then jobs executed in them.

Faults and calibration begin so. Knows neither; judges nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from harness.cells.records import Progress as CellProgress
from harness.checkpoints.base import write_base
from harness.errors import EnvironmentBuildError
from harness.execution.code import snapshot
from harness.execution.engine import execute
from harness.execution.outcome import Execution, Progress, Silence, WorkingCell
from harness.execution.store import Store
from harness.records.cases import Matrix
from harness.records.jobs import PlannedRead, PlannedWrite
from harness.records.results import CellReport
from harness.runs.request import RunRequest
from harness.runs.workflow import prepare_cells


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Rows that are ready to work, and where they keep what they make."""

    store: Store
    run_id: str
    started: datetime
    cells: Mapping[str, WorkingCell]
    reports: Mapping[str, CellReport]

    @property
    def versions(self) -> dict[str, dict[str, str]]:
        """Row to package to version, of the packages that the row asks for."""
        return {
            name: {package: report.versions[package] for package in report.requirements if package in report.versions}
            for name, report in self.reports.items()
        }


def prepare(
    kind: str,
    rows: Iterable[str],
    matrix: Matrix,
    *,
    out: Path,
    today: date,
    command: str,
    progress: CellProgress | None = None,
) -> Prepared:
    """Build `rows`; the run's id begins with `kind`.

    Raises EnvironmentBuildError where one of them cannot be built, StorageError where nothing can be written.
    """
    store = Store(out)
    store.prepare()
    started = datetime.now(UTC)
    run_id = f"{kind}-{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    request = RunRequest(out=out, cells=tuple(dict.fromkeys(rows)), today=today, command=command)
    built = prepare_cells(request, matrix, store, store.run(run_id).root, progress)
    cells = {}
    for name, row in built.items():
        if row.working is None:
            raise EnvironmentBuildError("cannot be built", where=f"the row {name}", log=row.report.error)
        cells[name] = row.working
    reports = {name: row.report for name, row in built.items()}
    return Prepared(store=store, run_id=run_id, started=started, cells=cells, reports=reports)


def execute_in(
    prepared: Prepared,
    writes: Iterable[PlannedWrite],
    reads: Iterable[PlannedRead],
    progress: Progress | None = None,
) -> Execution:
    """Do these jobs, each once however often it is named."""
    return execute(
        list({planned.id: planned for planned in writes}.values()),
        list({planned.id: planned for planned in reads}.values()),
        prepared.cells,
        store=prepared.store,
        run_id=prepared.run_id,
        code=snapshot(prepared.store),
        write_base=write_base,
        progress=progress or Silence(),
    )
