"""Does one job and answers for it: where it is, how long each part took, what was warned of, and what it raised.

What goes wrong in the code under test ends in a `Crash`. Knows nothing of what a job does.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.records.cases import Stack
from harness.records.jobs import Answer, Crash, LoadReport
from reference.environment import captured_warnings, installed_versions

MAX_TRACEBACK_CHARACTERS = 6000

Found = dict[str, Any]
"""Fields of the answer, as the job finds them out: what came before a crash is kept."""


class Progress:
    """Where a job is and how long each part took; an exception becomes the job's crash, with its stage."""

    def __init__(self) -> None:
        self.stage = "start"
        self.timings_s: dict[str, float] = {}
        self.crash: Crash | None = None

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Name and time a part of the job."""
        self.stage = stage
        started = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[stage] = self.timings_s.get(stage, 0.0) + time.perf_counter() - started

    def run(self, work: Callable[[], None]) -> None:
        """Run `work`; this is the edge of the cell's process, so any exception of the code under test is recorded."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - whatever the code under test raises is what we came to record
            message = str(error)[:MAX_TRACEBACK_CHARACTERS]
            trace = traceback.format_exc()[-MAX_TRACEBACK_CHARACTERS:]
            self.crash = Crash(stage=self.stage, exception=type(error).__name__, message=message, traceback=trace)


def answer(job_id: str, stack: Stack, work: Callable[[Progress, Found], None]) -> Answer:
    """Let `stack` do `work`, and return its answer, without the file list."""
    progress = Progress()
    found: Found = {"loading": LoadReport(), "fields": (), "adapted": (), "losses": ()}
    with captured_warnings() as warnings:
        progress.run(lambda: work(progress, found))
    return Answer(
        job=job_id,
        stack=stack,
        crash=progress.crash,
        versions=installed_versions(),
        warnings=tuple(warnings),
        timings_s=progress.timings_s,
        **found,
    )
