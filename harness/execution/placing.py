"""From planned jobs to jobs: which base, which folders, under which key. Or why a job cannot be done at all.

Reads no artifact and writes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.execution.bases import Base
from harness.execution.crew import Job, Workshop
from harness.execution.keys import read_key, write_key
from harness.execution.outcome import Outcome, WorkingCell
from harness.records.jobs import PlannedRead, PlannedWrite, ReadJob, WriteJob


class Placed(NamedTuple):
    """Jobs that can be done, by the cell that does them; and outcomes, by id, of those that cannot."""

    jobs: dict[str, list[Job]]
    impossible: dict[str, Outcome]


def place_writes(
    writes: Sequence[PlannedWrite], cells: Mapping[str, WorkingCell], bases: Mapping[str, Base], workshop: Workshop
) -> Placed:
    """The writes, by cell; or why not."""
    jobs: dict[str, list[Job]] = {}
    impossible: dict[str, Outcome] = {}
    for planned in writes:
        base, cell = bases[planned.case.name], cells.get(planned.cell)
        if cell is None or base.error:
            error = base.error or f"the cell {planned.cell} was not built"
            impossible[planned.id] = Outcome(id=planned.id, error=error)
            continue
        key = write_key(
            planned,
            work_digest=workshop.code.work_digests[cell.stack],
            lock_digest=cell.lock_digest,
            base_digest=base.digest,
            fault_digest=_fault_digest(planned, workshop),
        )
        job = WriteJob(
            id=planned.id,
            case=planned.case,
            family=planned.family,
            writer=planned.cell,
            base=str(base.path),
            directory=str(workshop.store.writes / key),
            strike=planned.strike,
        )
        jobs.setdefault(planned.cell, []).append(job)
    return Placed(jobs, impossible)


def place_reads(
    reads: Sequence[PlannedRead],
    cells: Mapping[str, WorkingCell],
    bases: Mapping[str, Base],
    written: Mapping[str, Outcome],
    digests: Mapping[str, str],
    workshop: Workshop,
) -> Placed:
    """The reads, by reader, of what `written` holds (`digests`, by the write's id); or why not."""
    jobs: dict[str, list[Job]] = {}
    impossible: dict[str, Outcome] = {}
    for planned in reads:
        base, cell, source = bases[planned.case.name], cells.get(planned.reader), written.get(planned.written_id)
        error = _why_not_written(source)
        if cell is None or source is None or source.directory is None or error:
            reason = error or f"the cell {planned.reader} was not built"
            impossible[planned.id] = Outcome(id=planned.id, error=reason)
            continue
        key = read_key(
            planned,
            work_digest=workshop.code.work_digests[cell.stack],
            lock_digest=cell.lock_digest,
            base_digest=base.digest,
            written_digest=digests[planned.written_id],
            fault_digest=_fault_digest(planned, workshop),
        )
        job = ReadJob(
            id=planned.id,
            case=planned.case,
            family=planned.family,
            writer=planned.writer,
            reader=planned.reader,
            form=planned.form,
            dialect=planned.dialect,
            base=str(base.path),
            written=str(source.directory),
            directory=str(workshop.store.reads / key),
            strike=planned.strike,
        )
        jobs.setdefault(planned.reader, []).append(job)
    return Placed(jobs, impossible)


def _fault_digest(planned: PlannedWrite | PlannedRead, workshop: Workshop) -> str:
    return workshop.code.fault_digests.get(planned.strike.fault, "") if planned.strike else ""


def _why_not_written(source: Outcome | None) -> str:
    if source is None:
        return "not written: no such write was planned"
    if source.error:
        return f"not written: {source.error}"
    if source.answer is not None and source.answer.crash is not None:
        crash = source.answer.crash
        return f"not written: {crash.stage}: {crash.exception}: {crash.message}"
    return ""
