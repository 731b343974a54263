"""A run, step by step: resolve → plan → build → execute → judge → report. Each step takes records and gives records."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from harness.cells.many import build_all, resolve_all
from harness.cells.records import Progress as CellProgress
from harness.cells.variables import cell_environment
from harness.checkpoints.base import write_base
from harness.errors import EnvironmentBuildError, UsageError
from harness.execution.code import snapshot
from harness.execution.engine import AfterWrites, execute
from harness.execution.outcome import Execution, Progress, Silence, WorkingCell
from harness.execution.store import Store
from harness.planning.expand import Plan, PlanCell, make_plan
from harness.planning.matrix import select_cells
from harness.planning.stacks import stack_of
from harness.records.cases import Cell, Matrix
from harness.records.jobs import PlannedRead, PlannedWrite
from harness.records.results import SCHEMA_VERSION, CellReport, Host, Report, Result
from harness.runs import results as judged
from harness.runs.full_count import full_count_rows
from harness.runs.last_good import with_last_good
from harness.runs.newest_faults import newest_faults
from harness.runs.request import HERE, Catalogue, RunRequest
from harness.runs.selection import parse
from harness.runs.side_by_side import side_by_side
from harness.runs.verdict import count, headline, run_verdict

JUDGING_S = 0.03
"""What a result takes."""
JUDGED_AT_ONCE = 50
"""Results a process takes at a time: neighbours share what they are compared with."""

JudgeTask = tuple[PlannedWrite | PlannedRead, judged.Ended, judged.Context]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A cell as far as it got: built and ready to work, or with the words of what stopped it."""

    report: CellReport
    working: WorkingCell | None


def run(
    request: RunRequest,
    catalogue: Catalogue,
    *,
    progress: Progress | None = None,
    cell_progress: CellProgress | None = None,
    after_writes: AfterWrites | None = None,
) -> Report:
    """Do the whole of it and write the report's JSON into the run's folder.

    Raises UsageError where nothing could match, StorageError where nothing can be written.
    """
    parse(request.expression)  # a typo is told before anything is built
    started = datetime.now(UTC)
    clock = time.monotonic()
    store = Store(request.out)
    store.prepare()
    run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    folders = store.run(run_id)
    rows = prepare_cells(request, catalogue.matrix, store, folders.root, cell_progress)
    built_s = time.monotonic() - clock
    plan = plan_run(request, catalogue, rows)
    code = snapshot(store)
    execution = execute(
        plan.writes,
        plan.reads,
        {name: row.working for name, row in rows.items() if row.working is not None},
        store=store,
        run_id=run_id,
        code=code,
        write_base=write_base,
        progress=progress or Silence(),
        after_writes=after_writes,
    )
    judging = time.monotonic()
    context = judged.Context(out=store.out, known=catalogue.known, today=request.today)
    results = judge_all(plan, execution, context, catalogue)
    cells = tuple(row.report for row in rows.values())
    results = with_last_good(results, cells, store.out / "runs", run_id)
    verdict, exit_code = run_verdict(results, cells)
    counts = count(results)
    full = {case.name for case in catalogue.cases if case.full_count}
    return Report(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        started_at=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        duration_s=round(time.monotonic() - clock, 3),
        command=request.command,
        verdict=verdict,
        exit_code=int(exit_code),
        headline=headline(results, cells, counts),
        counts=counts,
        cells=cells,
        results=results,
        full_count=full_count_rows(results, full, {cell.name: cell for cell in cells}),
        timings_s={
            "build": round(built_s, 3),
            **{name: round(duration, 3) for name, duration in execution.phases_s.items()},
            "judge": round(time.monotonic() - judging, 3),
            "import": round(sum(process.until_first_job_s for process in execution.processes), 3),
            "processes": round(sum(process.wall_s for process in execution.processes), 3),
        },
        host=host(),
        code_digest=code.digest,
        faults=newest_faults(store.out),
    )


def prepare_cells(
    request: RunRequest, matrix: Matrix, store: Store, root: Path, progress: CellProgress | None
) -> dict[str, Row]:
    """Resolve and build the wanted rows, side by side. A row that fails is told with the resolver's own words."""
    if request.here:
        return {HERE: _this_environment(store, root)}
    wanted = select_cells(matrix, request.cells)
    resolved = resolve_all(wanted, matrix, out=store.out, day=request.today, on_progress=progress)
    built = build_all(resolved.done.values(), out=store.out, on_progress=progress)
    failures = {**resolved.failed, **built.failed}
    rows: dict[str, Row] = {}
    for cell in wanted:
        if cell.name in failures:
            rows[cell.name] = _unbuilt(cell, failures[cell.name])
            continue
        done = built.done[cell.name]
        lock = root / "locks" / f"{cell.name}.txt"
        lock.parent.mkdir(exist_ok=True)
        lock.write_bytes(done.resolved.lock_path.read_bytes())
        rows[cell.name] = Row(
            report=CellReport(
                name=cell.name,
                why=cell.why,
                requirements=dict(cell.requirements),
                versions=dict(sorted(done.versions.items())),
                lock_digest=done.resolved.lock_digest,
                lock_path=f"locks/{cell.name}.txt",
                python=platform.python_version(),
                error="",
                newest=cell.newest,
                stack=cell.stack,
            ),
            working=WorkingCell(
                name=cell.name,
                stack=cell.stack,
                python=done.python,
                lock_digest=done.resolved.lock_digest,
                environment=cell_environment(scratch=store.scratch / cell.name, code=store.code),
            ),
        )
    return rows


def plan_run(request: RunRequest, catalogue: Catalogue, rows: Mapping[str, Row]) -> Plan:
    """The jobs of the built rows that the request wants. Raises UsageError if it wants nothing that exists."""
    cells = [
        PlanCell(name=name, stack=row.working.stack, versions=row.report.versions, newest=row.report.newest)
        for name, row in rows.items()
        if row.working is not None
    ]
    cases = [case for case in catalogue.cases if case.quick or not request.quick]
    plan = make_plan(cases, catalogue.families, cells, parse(request.expression))
    if cells and not plan.writes and not plan.skips:
        examples = ", ".join(case.name for case in cases[:3])
        raise UsageError(
            "nothing matches -k",
            got=request.expression,
            expected=f"part of a case, cell or route, such as {examples}",
            next_step="`deltaproof plan` lists them all.",
        )
    return plan


def judge_all(plan: Plan, execution: Execution, context: judged.Context, catalogue: Catalogue) -> tuple[Result, ...]:
    """Every planned job's result, in the plan's order: writes, then routes, then what does not apply."""
    tasks: list[JudgeTask] = [
        (planned, judged.ended_of(execution.writes[planned.id]), context) for planned in plan.writes
    ]
    for planned in plan.reads:
        source = execution.writes[planned.written_id]
        tasks.append((planned, judged.ended_of(execution.reads[planned.id], source), context))
    results = side_by_side(judge_one, tasks, task_s=JUDGING_S, at_once=JUDGED_AT_ONCE)
    for skip in plan.skips:
        skipped = PlannedWrite(case=skip.case, family=catalogue.families[skip.case.family], cell=skip.cell)
        results.append(judged.skip_result(skip, skipped, context))
    return tuple(results)


def judge_one(task: JudgeTask) -> Result:
    """One job's result."""
    planned, ended, context = task
    if isinstance(planned, PlannedRead):
        return judged.read_result(planned, ended, context)
    return judged.write_result(planned, ended, context)


def host() -> Host:
    """The machine that ran it."""
    return Host(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        num_cpus=os.cpu_count() or 0,
        python=platform.python_version(),
    )


def _unbuilt(cell: Cell, error: EnvironmentBuildError) -> Row:
    report = CellReport(
        name=cell.name,
        why=cell.why,
        requirements=dict(cell.requirements),
        versions={},
        lock_digest="",
        lock_path="",
        python=platform.python_version(),
        error=f"{error.what}\n{error.log}".strip(),
        newest=cell.newest,
        stack=cell.stack,
    )
    return Row(report=report, working=None)


def _this_environment(store: Store, root: Path) -> Row:
    """The environment at hand as a cell: nothing is built, and what is installed stands for the lock."""
    versions = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
    stack = stack_of(versions, where=sys.prefix)
    text = "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))
    (root / "locks").mkdir(exist_ok=True)
    (root / "locks" / f"{HERE}.txt").write_text(text, encoding="utf-8")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Row(
        report=CellReport(
            name=HERE,
            why="the environment at hand",
            requirements={},
            versions=dict(sorted(versions.items())),
            lock_digest=digest,
            lock_path=f"locks/{HERE}.txt",
            python=platform.python_version(),
            error="",
            stack=stack,
        ),
        working=WorkingCell(
            name=HERE,
            stack=stack,
            python=Path(sys.executable),
            lock_digest=digest,
            environment=cell_environment(scratch=store.scratch / HERE, code=store.code),
        ),
    )


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
