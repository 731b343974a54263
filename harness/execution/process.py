"""One batch in one process: start it, follow its events, end it when it hangs or when we must stop.

Owns processes, groups, pipes and limits. Must not know which jobs are worth repeating (`harness.execution.crew`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness import codec
from harness.artifacts import partial_beside, storing
from harness.errors import DeltaproofError
from harness.execution.events import Events
from harness.execution.outcome import Limits, WorkingCell
from harness.execution.store import RunFolders, Store
from harness.records.jobs import Batch, Event
from harness.worker import BATCH, LIFELINE

Command = Callable[[Path, Path, Batch], list[str]]
"""(the cell's python, the copied code, the batch) → the command line of its process."""

_LOOK_EVERY_S = 0.05
_TRACEBACK_WITHIN_S = 5.0
_TAIL_LINES = 60
_TAIL_BYTES = 16_384


class Ending(NamedTuple):
    """How a process ended, and what it had said until then."""

    reason: str
    """Empty if it ended by itself, orderly or not; then `exit_status` says more."""
    exit_status: int | None
    """As `subprocess` gives it; None if it never ran."""
    running: str
    """The job that it was doing; empty if none."""
    finished: Mapping[str, Event]
    """The last event of each job that ended, by id."""
    durations_s: Mapping[str, float]
    wall_s: float
    until_first_job_s: float
    log: Path

    def describe(self) -> str:
        """The end in words."""
        if self.reason:
            return self.reason
        status = self.exit_status or 0
        if status < 0:
            return f"its process was killed by {_signal_name(-status)}"
        return f"its process ended with exit status {status}"

    def tail(self) -> str:
        """The end of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - _TAIL_BYTES))
                text = file.read().decode("utf-8", errors="replace")
        except OSError as error:
            return f"(no log: {error.strerror})"
        return "\n".join(text.rstrip().splitlines()[-_TAIL_LINES:]) or "(the log is empty)"


def pytest_command(python: Path, code: Path, batch: Batch) -> list[str]:
    """pytest on the one module of `cases/` that this phase needs, in one process, with nothing held back from the log.

    `-p no:xdist` and not `-n 0`: the plugin costs time even when it does nothing.
    """
    cases = code / "cases"
    module = cases / ("test_write.py" if batch.writes else "test_read.py")
    options = ["-c", str(cases / "pytest.ini"), "--rootdir", str(cases), "-p", "no:xdist", "--capture=no"]
    return [str(python), "-m", "pytest", *options, str(module)]


def run_batch(
    cell: WorkingCell,
    batch: Batch,
    *,
    name: str,
    store: Store,
    run: RunFolders,
    code: Path,
    command: Command,
    limits: Limits,
    stop: threading.Event,
    hear: Callable[[Event], None],
) -> Ending:
    """Run `batch` in a process of `cell` until it ends, hangs, or `stop` is set. Nothing of it is left running."""
    paper, log = run.batches / f"{name}.json", run.logs / f"{name}.log"
    scratch = partial_beside(store.scratch / f"{run.root.name}-{name}")  # a partial's name: swept if we die
    with storing(paper):
        paper.write_text(codec.dumps(batch), encoding="utf-8")
        scratch.mkdir()
    lifeline, ours = os.pipe()
    started = time.monotonic()
    try:
        with storing(log):
            output = log.open("wb")
        with output:
            process = subprocess.Popen(
                command(cell.python, code, batch),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                env=environment_of(cell, code, paper, lifeline),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        follower = _Follower(batch, limits, hear)
        try:
            reason = follower.follow(process, stop)
        finally:
            _end(process)
        with suppress(DeltaproofError):  # the last words, unless it was their form that ended it
            follower.listen()
    except OSError as error:
        return Ending(f"its process could not be started: {error}", None, "", {}, {}, 0.0, 0.0, log)
    finally:
        os.close(lifeline)
        os.close(ours)
        shutil.rmtree(scratch, ignore_errors=True)
    wall_s = time.monotonic() - started
    first_s = wall_s if follower.first is None else follower.first - started
    return Ending(
        reason, process.returncode, follower.running, follower.finished, follower.durations_s, wall_s, first_s, log
    )


def environment_of(cell: WorkingCell, code: Path, paper: Path, lifeline: int) -> dict[str, str]:
    """The cell's environment, with what makes a process of it ours: our code alone, the batch, the lifeline."""
    environment = {name: value for name, value in cell.environment.items() if not name.startswith("PYTEST_")}
    return environment | {
        "PYTHONPATH": str(code),
        "PYTHONFAULTHANDLER": "1",  # a crash or a hang ends the log with where it was
        "PYTHONUNBUFFERED": "1",  # so does a kill
        BATCH: str(paper),
        LIFELINE: str(lifeline),
    }


class _Follower:
    """Listens to one process, and keeps the clock of its silence."""

    def __init__(self, batch: Batch, limits: Limits, hear: Callable[[Event], None]) -> None:
        cases = {job.id: job.case for job in batch.writes} | {job.id: job.case for job in batch.reads}
        self.limits_s = {job: limits.of(case) for job, case in cases.items()}
        self.limits = limits
        self.hear = hear
        self.events = Events(Path(batch.events), known=frozenset(cases))
        self.running = ""
        self.first: float | None = None
        self.finished: dict[str, Event] = {}
        self.durations_s: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def follow(self, process: subprocess.Popen[bytes], stop: threading.Event) -> str:
        """Why the process had to be ended; empty if it ended by itself."""
        heard = time.monotonic()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_LOOK_EVERY_S)
                return ""
            if stop.is_set():
                return "stopped"
            try:
                news = self.listen()
            except DeltaproofError as error:
                return f"its process was stopped: {error}"
            now = time.monotonic()
            if news:
                heard = now
            elif now - heard > self._patience_s():
                _ask_for_traceback(process)
                return self._silence()

    def listen(self) -> bool:
        """Take in new events; whether there were any."""
        news = self.events.new()
        for event in news:
            if event.state == "started":
                self.first = self.first or time.monotonic()
                self.running = event.job
                self._began[event.job] = event.at_s
            else:
                self.running = ""
                self.finished[event.job] = event
                self.durations_s[event.job] = max(0.0, event.at_s - self._began.get(event.job, event.at_s))
            self.hear(event)
        return bool(news)

    def _patience_s(self) -> float:
        if self.running:
            return self.limits_s[self.running]
        return self.limits.leave_s if len(self.finished) == len(self.limits_s) else self.limits.start_s

    def _silence(self) -> str:
        doing = "doing this job" if self.running else "starting its next job" if self.finished else "starting"
        return f"its process was stopped: it hung for {self._patience_s():g} s while {doing}"


def _ask_for_traceback(process: subprocess.Popen[bytes]) -> None:
    # Every process has the fault handler on: SIGABRT writes where all of its threads are to the log, and ends it.
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGABRT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=_TRACEBACK_WITHIN_S)


def _end(process: subprocess.Popen[bytes]) -> None:
    # The process leads a group of its own: what it started goes with it, also when it has already gone itself.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
