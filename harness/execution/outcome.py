"""What the engine is given and gives back: cells that can work, outcomes of jobs, news of progress. Records alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.records.cases import Case, Stack
from harness.records.jobs import Answer

Phase = Literal["write", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingCell:
    """A cell that was built: the engine needs no more of it than this."""

    name: str
    stack: Stack
    python: Path
    lock_digest: str
    environment: Mapping[str, str]
    """The whole environment of its processes, but for what the engine adds (`process.environment_of`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a process may say nothing before it counts as hung."""

    start_s: float = 300.0
    """Until its first job starts, and between two jobs."""
    job_s: float = 300.0
    full_count_job_s: float = 1200.0
    leave_s: float = 60.0
    """From its last job's end to its own."""

    def of(self, case: Case) -> float:
        """The limit of one job of `case`."""
        return self.full_count_job_s if case.full_count else self.job_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one planned job. Either `answer` and `directory` are there, or `error` says why not."""

    id: str
    directory: Path | None = None
    answer: Answer | None = None
    error: str = ""
    """Why there is no artifact: the process's end with its log's tail, or what it was waiting for in vain."""
    reused: bool = False
    duration_s: float = 0.0
    """Of the job in this run; 0 for a reused one."""
    changed: tuple[str, ...] = ()
    """Of a write: files that are not as its answer says, when the reads began. Somebody changed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTiming:
    """One process of a cell, in time."""

    cell: str
    phase: Phase
    wall_s: float
    until_first_job_s: float
    """Start and imports; all of `wall_s` if no job ever started."""
    num_jobs: int
    """Jobs that it finished."""
    end: str
    """How it ended; empty if as it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """All that one call of the engine did."""

    writes: Mapping[str, Outcome]
    reads: Mapping[str, Outcome]
    processes: tuple[ProcessTiming, ...]
    phases_s: Mapping[str, float]
    """Wall time of base, write, digest and read."""
    bases: Mapping[str, Path]
    """Where the base checkpoint of each case is, by the case's name."""


class Progress(Protocol):
    """Who is told while the engine works. Calls come from several threads, one at a time; they must return soon."""

    def phase_started(self, phase: Phase, num_jobs: int, num_reused: int) -> None:
        """A phase begins: `num_jobs` in all, `num_reused` of them there already (or told to be impossible)."""

    def process_started(self, phase: Phase, cell: str, num_jobs: int) -> None:
        """A cell's process was started; it imports now."""

    def job_started(self, phase: Phase, cell: str, job: str) -> None:
        """A job is being done."""

    def job_finished(self, phase: Phase, cell: str, job: str, error: str) -> None:
        """A job has its outcome; `error` is empty if it left its artifact."""

    def cell_died(self, phase: Phase, cell: str, reason: str) -> None:
        """A cell's process ended before its jobs did; what is left is tried again, or given up."""

    def phase_finished(self, phase: Phase, duration_s: float) -> None:
        """A phase is over."""


class Silence:
    """Progress that nobody watches."""

    def phase_started(self, phase: Phase, num_jobs: int, num_reused: int) -> None:
        """Nothing."""

    def process_started(self, phase: Phase, cell: str, num_jobs: int) -> None:
        """Nothing."""

    def job_started(self, phase: Phase, cell: str, job: str) -> None:
        """Nothing."""

    def job_finished(self, phase: Phase, cell: str, job: str, error: str) -> None:
        """Nothing."""

    def cell_died(self, phase: Phase, cell: str, reason: str) -> None:
        """Nothing."""

    def phase_finished(self, phase: Phase, duration_s: float) -> None:
        """Nothing."""
