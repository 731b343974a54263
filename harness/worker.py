"""The worker's side of a batch: what a cell's process is asked, what it tells the engine, and that it dies with it.

Standard library only: this runs inside cells. Must not know how jobs are done.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness import codec
from harness.artifacts import storing
from harness.errors import StorageError, UsageError
from harness.records.jobs import Batch, Event

BATCH = "DELTAPROOF_BATCH"
"""Environment variable: path of the batch's JSON."""
LIFELINE = "DELTAPROOF_LIFELINE"
"""Environment variable: number of the pipe's end that the engine keeps open as long as it lives."""
STORAGE_EXIT = 74
"""Exit status (EX_IOERR) of a process that could not store its work; its log ends with why."""


def attach() -> Batch:
    """Read the batch that this process was started for, and tie this process's life to the engine's."""
    watch_lifeline()
    path = os.environ.get(BATCH)
    if not path:
        raise UsageError("this process was given no batch", expected=f"its path in {BATCH}")
    return codec.read_json(Batch, Path(path))


def watch_lifeline() -> None:
    """End this process and its children when the engine dies, however it dies. By hand (no engine), do nothing."""
    descriptor = os.environ.get(LIFELINE)
    if not descriptor:
        return
    # The engine ends a hung process by SIGABRT, for the traceback in the log; the core dump is of no use to anybody.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    threading.Thread(target=_die_with, args=(int(descriptor),), name="lifeline", daemon=True).start()


@contextmanager
def reporting(batch: Batch, job: str) -> Iterator[None]:
    """Tell the engine that `job` starts, and that it ended. What it raised is told, and raised.

    On a StorageError the process ends: every later job would meet the same disk.
    """
    try:
        announce(batch, job, "started")
        message = ""
        try:
            yield
        except StorageError:
            raise
        except BaseException:
            message = traceback.format_exc()
            raise
        finally:
            announce(batch, job, "finished", message)
    except StorageError as error:
        print(f"\n{error}", file=sys.__stderr__, flush=True)
        os._exit(STORAGE_EXIT)


def announce(batch: Batch, job: str, state: str, message: str = "") -> None:
    """Append one event to the batch's events file, by one write: a killed process leaves no half of a line behind."""
    line = codec.dumps(Event(job=job, state=state, at_s=time.time(), message=message)).replace("\n", " ") + "\n"
    with storing(Path(batch.events)):
        descriptor = os.open(batch.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)


def _die_with(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 1):
            pass
    # The engine starts each process as the leader of a group of its own: the group is it and what it started.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
