"""Calibration, step by step: plan → build → execute → measure → place each gate → the table."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.calibration.placing import Placed, place
from harness.calibration.planning import plan_calibration
from harness.calibration.policy import Policy, load_policy
from harness.calibration.samples import Sample, samples_of
from harness.calibration.table import render
from harness.cells.records import Progress as CellProgress
from harness.execution.outcome import Execution, Progress
from harness.faults.catalogue import load_faults
from harness.faults.planning import Planned
from harness.planning.expand import PlanCell
from harness.records.faults import Fault
from harness.records.results import Result
from harness.runs.prepared import execute_in, prepare
from harness.runs.request import Catalogue
from harness.runs.results import Context, ended_of, read_result, write_result

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
    faults = load_faults(catalogue)
    names = (*ROWS, *(fault.row for fault in faults.values()))
    prepared = prepare(
        "calibrate", names, catalogue.matrix, out=out, today=today, command=command, progress=cell_progress
    )
    cells = [
        PlanCell(name=name, stack=prepared.cells[name].stack, versions=prepared.reports[name].versions) for name in ROWS
    ]
    injecting = importlib.import_module("cases.injecting")
    variations = sorted(injecting.modules(importlib.import_module(VARIATIONS)))
    clean, struck = plan_calibration(catalogue, cells, faults, variations, num_seeds)
    jobs = (*clean, *struck)
    writes, reads = (planned.write for planned in jobs), (read for planned in jobs for read in planned.reads)
    execution = execute_in(prepared, writes, reads, progress)
    context = Context(out=prepared.store.out, known=catalogue.known, today=today)
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
        versions=prepared.versions,
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
