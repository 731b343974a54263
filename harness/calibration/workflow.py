"""Calibration, step by step: plan → build → execute → measure → place each gate → the table."""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.calibration.placing import Placed, place
from harness.calibration.planning import plan_calibration
from harness.calibration.policy import Policy, load_policy
from harness.calibration.samples import Sample, samples_of
from harness.calibration.table import render
from harness.cells.records import Progress as CellProgress
from harness.errors import CaseError
from harness.execution.outcome import Progress
from harness.faults.catalogue import load_faults
from harness.faults.checking import results_of, to_check
from harness.planning.expand import PlanCell
from harness.records.faults import Check, Fault
from harness.records.results import Result
from harness.runs.prepared import execute_in, prepare
from harness.runs.request import Catalogue
from harness.runs.results import Context
from harness.runs.side_by_side import side_by_side

ROWS = ("r1", "jax")
"""What is calibrated: the reference row of each stack."""
DEVICE = "cpu"
VARIATIONS = "cases.variations"
MEASURING_S = 0.1
"""What the results of one write and its reads take."""


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
    tasks = [to_check(planned, execution, context) for planned in jobs]
    found = side_by_side(results_of, tasks, task_s=MEASURING_S)
    quiet = [sample for results in found[: len(clean)] for sample in _quiet(results, catalogue)]
    loud = [
        sample
        for planned, results in zip(struck, found[len(clean) :], strict=True)
        for sample in _loud(planned.fault, faults[planned.fault], results, catalogue)
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


def _quiet(results: Iterable[tuple[Check, Result]], catalogue: Catalogue) -> Iterator[Sample]:
    """The numbers of a clean write and its reads. Raises CaseError where there are none."""
    for _, result in results:
        if result.judgement.verdict == "ERROR":
            raise CaseError(
                "a clean result has no numbers",
                where=result.id,
                got=result.judgement.cause,
                next_step=f"See why: {result.rerun}",
            )
        yield from samples_of(result, "", across_stacks=_is_across(result, catalogue))


def _loud(name: str, fault: Fault, results: Iterable[tuple[Check, Result]], catalogue: Catalogue) -> Iterator[Sample]:
    """The numbers of a fault, in the results of the checks that must catch it."""
    for check, result in results:
        if check in fault.names:
            yield from samples_of(result, name, across_stacks=_is_across(result, catalogue))


def _is_across(result: Result, catalogue: Catalogue) -> bool:
    stacks = {cell.name: cell.stack for cell in catalogue.matrix.cells}
    return result.kind == "read" and stacks[result.writer] != stacks[result.reader]
