"""The faults, step by step: catalogue → plan → build → execute → check → the kill matrix."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from harness.cells.records import Progress as CellProgress
from harness.errors import ExitCode, UsageError
from harness.execution.outcome import Execution, Progress
from harness.faults.catalogue import load_areas, load_faults
from harness.faults.checking import said_of, to_check
from harness.faults.killing import control, fault_result, struck_case
from harness.faults.planning import Planned, plan_faults
from harness.records.faults import SCHEMA_VERSION, KillMatrix, StruckCase
from harness.records.jobs import Hit
from harness.runs.prepared import execute_in, prepare
from harness.runs.request import Catalogue
from harness.runs.results import Context
from harness.runs.selection import parse
from harness.runs.side_by_side import side_by_side

CHECKING_S = 0.2
"""What all checks of one write take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultsRequest:
    """The arguments of `deltaproof faults`."""

    out: Path
    expression: str = ""
    """`-k`: words of a fault's name and a case's."""
    seed: int = 0
    """Where faults hit is drawn from it."""
    num_controls: int = 0
    """Clean runs of other seeds, beside the clean twin of every case that is struck."""
    today: date
    command: str


def run_faults(
    request: FaultsRequest,
    catalogue: Catalogue,
    *,
    progress: Progress | None = None,
    cell_progress: CellProgress | None = None,
) -> KillMatrix:
    """Put every fault that is asked for into its cases, and see who says so.

    Raises UsageError where nothing matches, EnvironmentBuildError where a row that has a fault cannot be built.
    """
    clock = time.monotonic()
    faults = load_faults(catalogue)
    wanted = parse(request.expression)
    struck, controls = plan_faults(faults, catalogue, request.seed, request.num_controls, wanted)
    if not struck:
        raise UsageError(
            "no fault matches -k", got=request.expression, expected=f"a part of a name, such as {next(iter(faults))}"
        )
    jobs = (*struck, *controls)
    prepared = prepare(
        "faults",
        (planned.write.cell for planned in jobs),
        catalogue.matrix,
        out=request.out,
        today=request.today,
        command=request.command,
        progress=cell_progress,
    )
    writes, reads = (planned.write for planned in jobs), (read for planned in jobs for read in planned.reads)
    execution = execute_in(prepared, writes, reads, progress)
    context = Context(out=prepared.store.out, known={}, today=request.today)
    by_name: dict[str, list[StruckCase]] = defaultdict(list)
    told = side_by_side(said_of, [to_check(planned, execution, context) for planned in jobs], task_s=CHECKING_S)
    for planned, said in zip(struck, told, strict=False):
        case = struck_case(planned, faults[planned.fault], _hit(planned, execution), said, request.seed)
        by_name[planned.fault].append(case)
    areas = load_areas()
    results = tuple(fault_result(name, areas[name], faults[name], cases) for name, cases in by_name.items())
    clean = tuple(control(planned, said) for planned, said in zip(controls, told[len(struck) :], strict=True))
    num_caught = sum(each.is_caught and each.culprit_named for each in results)
    num_alarms = sum(bool(each.alarms) for each in clean)
    return KillMatrix(
        schema_version=SCHEMA_VERSION,
        run_id=prepared.run_id,
        started_at=prepared.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=request.command,
        expression=request.expression,
        seed=request.seed,
        num_faults=len(results),
        num_caught=num_caught,
        num_false_alarms=num_alarms,
        num_controls=len(clean),
        exit_code=int(ExitCode.OK if num_caught == len(results) and not num_alarms else ExitCode.FAILED),
        faults=results,
        controls=clean,
        versions=prepared.versions,
        duration_s=round(time.monotonic() - clock, 3),
    )


def _hit(planned: Planned, execution: Execution) -> Hit | None:
    """What the strike says that it hit; None if it never got so far."""
    outcomes = [execution.reads[read.id] for read in planned.reads if read.strike]
    if planned.write.strike:
        outcomes.append(execution.writes[planned.write.id])
    return next((outcome.answer.hit for outcome in outcomes if outcome.answer is not None), None)
