"""The engine: bases, then writes, then reads; what is there already is reused, what fails is told, the rest goes on.

Owns the order of things and the side-by-side of cells. Must not know what jobs measure, nor judge what they answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from harness.artifacts import changed_files, differing, digest_of, discard, file_entries, read_answer
from harness.errors import ArtifactError
from harness.execution.bases import WriteBase, ensure_bases
from harness.execution.code import Code
from harness.execution.crew import Crew, Job, Workshop
from harness.execution.outcome import Execution, Limits, Outcome, Phase, ProcessTiming, Progress, Silence, WorkingCell
from harness.execution.placing import Placed, place_reads, place_writes
from harness.execution.process import Command, pytest_command
from harness.execution.store import Store
from harness.records.jobs import Answer, PlannedRead, PlannedWrite

AfterWrites = Callable[[Mapping[str, Outcome]], None]
"""Called between the phases with the outcomes of the writes, by id: for those who damage artifacts on purpose."""

JOBS_WORTH_A_PROCESS = 12
"""A second process of the same cell imports for about as long as these take."""
_FULL_COUNT_WEIGHT = 50


def execute(
    writes: Sequence[PlannedWrite],
    reads: Sequence[PlannedRead],
    cells: Mapping[str, WorkingCell],
    *,
    store: Store,
    run_id: str,
    code: Code,
    write_base: WriteBase,
    slots: int = 2,
    limits: Limits | None = None,
    command: Command = pytest_command,
    progress: Progress | None = None,
    after_writes: AfterWrites | None = None,
) -> Execution:
    """Do every planned job, or say why not: each has its outcome in what comes back.

    At most `slots` processes work at a time. The reads begin when all writes have ended: in the grid every reader needs
    every writer, so there is hardly a moment to win. Raises StorageError if `store` cannot be written; an interrupt
    ends all processes and goes on to the caller.
    """
    store.prepare()
    workshop = Workshop(
        store=store,
        run=store.run(run_id),
        code=code,
        command=command,
        limits=limits or Limits(),
        progress=progress or Silence(),
    )
    clock = _Clock()
    bases = ensure_bases(
        [*writes, *reads], store=store, work_digest=code.work_digests[""], write_base=write_base, slots=slots
    )
    clock.lap("base")
    to_write = place_writes(writes, cells, bases, workshop)
    written, processes = _phase("write", to_write, cells, workshop, slots, _present)
    clock.lap("write")
    if after_writes is not None:
        after_writes(written)
    written, digests = _contents(written, slots)
    clock.lap("digest")
    to_read = place_reads(reads, cells, bases, written, digests, workshop)
    answers, more = _phase("read", to_read, cells, workshop, slots, _untouched)
    clock.lap("read")
    return Execution(
        writes=written,
        reads=answers,
        processes=(*processes, *more),
        phases_s=clock.laps_s,
        bases={name: base.path for name, base in bases.items()},
    )


class _Clock:
    """Wall time, lap by lap."""

    def __init__(self) -> None:
        self.laps_s: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps_s[name] = now - self._last
        self._last = now


def _phase(
    phase: Phase,
    placed: Placed,
    cells: Mapping[str, WorkingCell],
    workshop: Workshop,
    slots: int,
    look: Callable[[Path], bool],
) -> tuple[dict[str, Outcome], tuple[ProcessTiming, ...]]:
    """Outcomes of all jobs of one phase, those already there (`look`) without any process."""
    started = time.monotonic()
    outcomes = dict(placed.impossible)
    to_do: dict[str, list[Job]] = {}
    for cell, cell_jobs in placed.jobs.items():
        for job in cell_jobs:
            directory = Path(job.directory)
            if look(directory):
                answer = read_answer(directory)
                outcomes[job.id] = Outcome(id=job.id, directory=directory, answer=answer, reused=True)
            else:
                to_do.setdefault(cell, []).append(job)
    num_jobs = len(outcomes) + sum(map(len, to_do.values()))
    workshop.tell(lambda progress: progress.phase_started(phase, num_jobs, len(outcomes)))
    crews = [
        Crew(workshop=workshop, cell=cells[cell], phase=phase, jobs=jobs, name=f"{cell}{suffix}")
        for cell in _longest_first(to_do)
        for suffix, jobs in _shares(to_do[cell], max(1, slots // len(to_do)))
    ]
    _side_by_side(crews, workshop, slots)
    for crew in crews:
        outcomes |= crew.outcomes
    duration_s = time.monotonic() - started
    workshop.tell(lambda progress: progress.phase_finished(phase, duration_s))
    return outcomes, tuple(process for crew in crews for process in crew.processes)


def _shares(jobs: Sequence[Job], num_shares: int) -> list[tuple[str, Sequence[Job]]]:
    """The jobs of one cell for as many processes, where there are more slots than cells and imports are worth it."""
    num_shares = min(num_shares, len(jobs) // JOBS_WORTH_A_PROCESS)
    if num_shares < 2:
        return [("", jobs)]
    return [(f"-{number + 1}", jobs[number::num_shares]) for number in range(num_shares)]


def _side_by_side(crews: Sequence[Crew], workshop: Workshop, slots: int) -> None:
    with ThreadPoolExecutor(max_workers=slots, thread_name_prefix="crew") as pool:
        futures = [pool.submit(crew.work) for crew in crews]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
        except BaseException:
            # Crews end their processes and leave when they see this; the pool waits for them.
            workshop.stop.set()
            raise


def _longest_first(to_do: Mapping[str, Sequence[Job]]) -> list[str]:
    # The last cell to start decides when a phase ends, so the long ones start first. Steps stand for work.
    def weight(cell: str) -> int:
        return sum(job.case.steps * (_FULL_COUNT_WEIGHT if job.case.full_count else 1) for job in to_do[cell])

    return sorted(to_do, key=weight, reverse=True)


def _present(directory: Path) -> bool:
    """Whether a written artifact is there. Changed files do not count against it: its reads will show the damage."""
    return _kept_if(directory, lambda answer: True)


def _untouched(directory: Path) -> bool:
    """Whether a read's observations are there as they were made. If they were changed since, they are made again."""
    return _kept_if(directory, lambda answer: not changed_files(directory, answer))


def _kept_if(directory: Path, good: Callable[[Answer], bool]) -> bool:
    if not directory.exists():
        return False
    with suppress(ArtifactError):
        if good(read_answer(directory)):
            return True
    discard(directory)
    return False


def _contents(written: Mapping[str, Outcome], slots: int) -> tuple[dict[str, Outcome], dict[str, str]]:
    """The writes' outcomes with what was changed since they were written, and digests of what they hold now."""

    def look(outcome: Outcome) -> tuple[Outcome, str]:
        if outcome.directory is None or outcome.answer is None:
            return outcome, ""
        try:
            entries = file_entries(outcome.directory)
        except ArtifactError as error:
            return replace(outcome, directory=None, answer=None, error=str(error)), ""
        return replace(outcome, changed=differing(entries, outcome.answer)), digest_of(entries)

    with ThreadPoolExecutor(max_workers=slots) as pool:  # hashing lets go of the interpreter's lock
        looked = list(pool.map(look, written.values()))
    outcomes = {outcome.id: outcome for outcome, _ in looked}
    return outcomes, {outcome.id: digest for outcome, digest in looked}
