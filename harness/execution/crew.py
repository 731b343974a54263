"""One cell's jobs of one phase: as many processes as it takes, until each job has an outcome.

A process that dies takes one job with it, and the others are done by the next process. Owns when to give up.
Must not know other cells.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.artifacts import read_answer
from harness.errors import ArtifactError, StorageError
from harness.execution.code import Code
from harness.execution.outcome import Limits, Outcome, Phase, ProcessTiming, Progress, WorkingCell
from harness.execution.process import Command, Ending, run_batch
from harness.execution.store import RunFolders, Store
from harness.records.jobs import Batch, Event, ReadJob, WriteJob
from harness.worker import STORAGE_EXIT

Job = WriteJob | ReadJob

MAX_DEATHS = 3
"""Processes of one cell that may die in one phase; then its remaining jobs are given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every process of one run shares."""

    store: Store
    run: RunFolders
    code: Code
    command: Command
    limits: Limits
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, news: Callable[[Progress], None]) -> None:
        """Pass news on, one at a time."""
        with self._telling:
            news(self.progress)


@dataclass(slots=True, kw_only=True)
class Crew:
    """The work of one cell in one phase, or a share of it."""

    workshop: Workshop
    cell: WorkingCell
    phase: Phase
    jobs: Sequence[Job]
    name: str
    """For its files: the cell's, with a number where several share its work."""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    processes: list[ProcessTiming] = field(default_factory=list)

    def work(self) -> Crew:
        """Give every job its outcome. Raises StorageError if a process could not store its work."""
        num_deaths = 0
        while (remaining := self._remaining()) and not self.workshop.stop.is_set():
            ending = self._run(remaining)
            if self.workshop.stop.is_set():
                break
            if ending.exit_status == STORAGE_EXIT:
                raise self._storage_error(ending)
            for job in remaining:
                self._settle(job, ending)
            still_remaining = self._remaining()
            if not still_remaining:
                break
            num_deaths += 1
            self._tell_death(ending.describe())
            # A process that ends by itself before its first job (an import that fails) will do so again.
            hopeless = not ending.finished and not ending.running and not ending.reason and _is_orderly(ending)
            if ending.exit_status is None or hopeless or num_deaths >= MAX_DEATHS:
                for job in still_remaining:
                    self._record(Outcome(id=job.id, error=self._given_up(ending, num_deaths)))
        return self

    def _remaining(self) -> list[Job]:
        return [job for job in self.jobs if job.id not in self.outcomes]

    def _run(self, jobs: Sequence[Job]) -> Ending:
        workshop = self.workshop
        name = f"{self.phase}-{self.name}-{len(self.processes) + 1}"
        batch = Batch(
            cell=self.cell.name,
            stack=self.cell.stack,
            phase=self.phase,
            events=str(workshop.run.events / f"{name}.jsonl"),
            writes=tuple(job for job in jobs if isinstance(job, WriteJob)),
            reads=tuple(job for job in jobs if isinstance(job, ReadJob)),
        )
        workshop.tell(lambda progress: progress.process_started(self.phase, self.cell.name, len(jobs)))
        ending = run_batch(
            self.cell,
            batch,
            name=name,
            store=workshop.store,
            run=workshop.run,
            code=workshop.code.directory,
            command=workshop.command,
            limits=workshop.limits,
            stop=workshop.stop,
            hear=self._hear,
        )
        workshop.store.sweep()  # what a killed process was in the middle of
        self.processes.append(
            ProcessTiming(
                cell=self.cell.name,
                phase=self.phase,
                wall_s=ending.wall_s,
                until_first_job_s=ending.until_first_job_s,
                num_jobs=len(ending.finished),
                end="" if len(ending.finished) == len(jobs) and not ending.reason else ending.describe(),
            )
        )
        return ending

    def _hear(self, event: Event) -> None:
        if event.state == "started":
            self.workshop.tell(lambda progress: progress.job_started(self.phase, self.cell.name, event.job))

    def _settle(self, job: Job, ending: Ending) -> None:
        """The outcome of `job`, if this process brought one. The artifact decides, not what the process said."""
        directory = Path(job.directory)
        duration_s = ending.durations_s.get(job.id, 0.0)
        try:
            answer = read_answer(directory)
        except ArtifactError:
            if job.id == ending.running:
                error = f"{ending.describe()} in the middle of this job\n{ending.tail()}"
            elif job.id in ending.finished:
                error = ending.finished[job.id].message or f"it ended without leaving its artifact\n{ending.tail()}"
            else:
                return
            self._record(Outcome(id=job.id, error=error, duration_s=duration_s))
        else:
            self._record(Outcome(id=job.id, directory=directory, answer=answer, duration_s=duration_s))

    def _record(self, outcome: Outcome) -> None:
        self.outcomes[outcome.id] = outcome
        self.workshop.tell(
            lambda progress: progress.job_finished(self.phase, self.cell.name, outcome.id, outcome.error)
        )

    def _tell_death(self, reason: str) -> None:
        self.workshop.tell(lambda progress: progress.cell_died(self.phase, self.cell.name, reason))

    def _given_up(self, ending: Ending, num_deaths: int) -> str:
        times = f"given up after {num_deaths} such ends" if num_deaths > 1 else "given up"
        return f"{ending.describe()} before this job began; {times}\n{ending.tail()}"

    def _storage_error(self, ending: Ending) -> StorageError:
        # The log may lie on the disk that is full, and be empty.
        lines = [line for line in ending.tail().splitlines() if "cannot be written" in line]
        if lines:
            return StorageError(lines[-1])
        return StorageError("cannot be written", where=str(self.workshop.store.out), next_step="Is the disk full?")


def _is_orderly(ending: Ending) -> bool:
    return ending.exit_status is not None and ending.exit_status >= 0
