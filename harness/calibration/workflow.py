"""Calibration, step by step: plan → build → execute → measure → place each gate → the table."""

from __future__ import annotations

import importlib
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from harness.calibration.placing import Placed, place
from harness.calibration.planning import plan_calibration
from harness.calibration.policy import Policy, load_policy
from harness.calibration.samples import Sample, samples_of
from harness.calibration.table import render
from harness.cells.records import Progress as CellProgress
from harness.checkpoints.base import write_base
from harness.errors import EnvironmentBuildError
from harness.execution.code import snapshot
from harness.execution.engine import execute
from harness.execution.outcome import Execution, Progress, Silence
from harness.execution.store import Store
from harness.faults.catalogue import load_faults
from harness.faults.planning import Planned
from harness.planning.expand import PlanCell
from harness.records.faults import Fault
from harness.records.results import Result
from harness.runs.request import Catalogue, RunRequest
from harness.runs.results import Context, ended_of, read_result, write_result
from harness.runs.workflow import prepare_cells

ROWS = ("r1", "jax")
"""What is calibrated: the reference row of each stack."""
DEVICE = "cpu"
VARIATIONS = "cases.variations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was found."""

    gates: tuple[tuple[Policy, Placed], ...]
    num_clean: int
    num_struck: int
    """Results."""
    text: str
    """The table, as it is to be written."""
    duration_s: float


def calibrate(
    out: Path,
    catalogue: Catalogue,
    *,
    num_seeds: int,
    today: date,
    command: str,
    progress: Progress | None = None,
    cell_progress: CellProgress | None = None,
) -> Calibration:
    """Measure noise and faults, and place every gate of the policy. Raises EnvironmentBuildError, CaseError."""
    clock = time.monotonic()
    store = Store(out)
    store.prepare()
    run_id = f"calibrate-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    faults = load_faults(catalogue)
    names = tuple(dict.fromkeys((*ROWS, *(fault.row for fault in faults.values()))))
    request = RunRequest(out=out, cells=names, today=today, command=command)
    rows = prepare_cells(request, catalogue.matrix, store, store.run(run_id).root, cell_progress)
    for name, row in rows.items():
        if row.working is None:
            raise EnvironmentBuildError("cannot be built", where=f"the row {name}", log=row.report.error)
    cells = [
        PlanCell(name=name, stack=row.working.stack, versions=row.report.versions)
        for name, row in rows.items()
        if row.working is not None and name in ROWS
    ]
    injecting = importlib.import_module("cases.injecting")
    variations = sorted(injecting.modules(importlib.import_module(VARIATIONS)))
    clean, struck = plan_calibration(catalogue, cells, faults, variations, num_seeds)
    jobs = (*clean, *struck)
    execution = execute(
        list({planned.write.id: planned.write for planned in jobs}.values()),
        list({read.id: read for planned in jobs for read in planned.reads}.values()),
        {name: row.working for name, row in rows.items() if row.working is not None},
        store=store,
        run_id=run_id,
        code=snapshot(store),
        write_base=write_base,
        progress=progress or Silence(),
    )
    context = Context(out=store.out, known=catalogue.known, today=today)
    stacks = {cell.name: cell.stack for cell in catalogue.matrix.cells}
    quiet = [sample for planned in clean for sample in _samples(planned, None, execution, context, stacks)]
    loud = [
        sample for planned in struck for sample in _samples(planned, faults[planned.fault], execution, context, stacks)
    ]
    gates = tuple((policy, place(policy, quiet, loud)) for policy in load_policy())
    text = render(
        gates,
        device=DEVICE,
        measured_on=today.isoformat(),
        command=command,
        versions={
            name: {package: row.report.versions[package] for package in row.report.requirements}
            for name, row in rows.items()
        },
    )
    return Calibration(
        gates=gates,
        num_clean=len({sample.result for sample in quiet}),
        num_struck=len({sample.result for sample in loud}),
        text=text,
        duration_s=time.monotonic() - clock,
    )


def _samples(
    planned: Planned, fault: Fault | None, execution: Execution, context: Context, stacks: Mapping[str, str]
) -> Iterator[Sample]:
    """The numbers of one write and its reads: of a fault, those of the checks that must catch it."""
    name = planned.fault
    for result, check in _results(planned, execution, context):
        # A clean result that is declared to break is no noise.
        if (fault is None and result.disposition == "known") or (fault is not None and check not in fault.names):
            continue
        across = result.kind == "read" and stacks[result.writer] != stacks[result.reader]
        yield from samples_of(result, name, across_stacks=across)


def _results(planned: Planned, execution: Execution, context: Context) -> Sequence[tuple[Result, str]]:
    write = execution.writes[planned.write.id]
    results = [(write_result(planned.write, ended_of(write), context), "write")]
    for read in planned.reads:
        results.append((read_result(read, ended_of(execution.reads[read.id], write), context), read.form))
    return results
