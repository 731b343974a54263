"""Asks a process apart (`apart.py`) to run jobs behind walls, and believes nothing of what comes back.

What a job answers is data of the kinds that JSON has, of limited length; whoever asked must know what is right.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast, get_args

import harness
from harness.sandbox.process import Process, Told

How = Literal["answered", "ended", "timeout", "too_much", "unreadable", "impossible"]
"""`ended` without an answer; `too_much` or `unreadable` of one; `impossible`: nothing was run."""
_DOUBTFUL: frozenset[How] = frozenset({"ended", "timeout"})
"""What others that ran beside may have brought about."""
_CODE = Path(harness.__file__).parents[1]
_OURS = ("harness", "cases", "reports", "reference")
_START_S = 120.0
"""For what is imported before the first job; torch and transformers take ten seconds on a slow machine."""
_GRACE_S = 20.0
"""Beyond a job's own time, before the process that runs jobs is itself taken for hung."""
_NUM_LANES = min(4, os.cpu_count() or 1)
"""Jobs at a time: each may take its memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a job may take."""

    time_s: float = 10.0
    """Of the clock, and of the processor."""
    memory_bytes: int = 2**30
    """Of addresses, above what the process has when all is imported."""
    scratch_bytes: int = 2**24
    answer_bytes: int = 2**22
    num_files: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a job."""

    how: How
    value: Any = None
    """What it answered: numbers, texts, truth values, lists and tables of them."""
    why: str = ""
    said: str = ""
    """The end of what it printed."""
    wall_s: float = 0.0


class Sandbox:
    """A process that has imported what jobs need, and runs those of several threads side by side.

    One that hangs or dies is replaced. `entry` is `module:function`, of one argument, importable by `python` from the
    folder that holds this package.
    """

    def __init__(
        self,
        python: Path | str,
        entry: str,
        *,
        preload: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._python = str(Path(python).absolute())  # it is started elsewhere
        self._entry = entry
        self._preload = list(preload)
        self._environment = dict(environment or {})
        self._lanes = threading.BoundedSemaphore(_NUM_LANES)
        self._alone = threading.Lock()
        """Of one that waits for all lanes."""
        self._lock = threading.Lock()
        self._num_begun = self._num_running = 0
        self._process: Process | Outcome | None = None
        """What runs jobs; or why nothing can."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Sandbox:
        self._folder = tempfile.TemporaryDirectory(prefix="deltaproof-room-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            process, self._process = self._process, Outcome(how="impossible", why="the sandbox was closed")
        if isinstance(process, Process):
            process.end()
        if self._folder is not None:
            self._folder.cleanup()

    def begin(self) -> None:
        """Start the process without waiting for it: it imports while others work."""
        self._begun()

    def run(self, request: Any, *, limits: Limits | None = None, visible: Sequence[Path] = ()) -> Outcome:
        """Have `entry` called with `request`, which sees the folders `visible` besides Python's own."""
        limits = limits or Limits()
        job = {"request": request, "limits": asdict(limits), "visible": [str(path.resolve()) for path in visible]}
        with self._lanes:
            outcome, was_alone = self._watched(job, limits)
        if was_alone or outcome.how not in _DOUBTFUL:
            return outcome
        # Others may have taken its time, its memory or the process: nobody is blamed for them.
        with self._alone, ExitStack() as stack:
            for _ in range(_NUM_LANES):
                stack.enter_context(self._lanes)
            return self._watched(job, limits)[0]

    def _watched(self, job: Told, limits: Limits) -> tuple[Outcome, bool]:
        """What came of a job, and whether no other ran meanwhile."""
        with self._lock:
            self._num_begun += 1
            self._num_running += 1
            is_alone, number = self._num_running == 1, self._num_begun
        try:
            return self._once(job, limits), is_alone and self._num_begun == number
        finally:
            with self._lock:
                self._num_running -= 1

    def _once(self, job: Told, limits: Limits) -> Outcome:
        process = self._begun()
        if isinstance(process, Outcome):
            return process
        ready = process.ready(_START_S) or {}
        if ready.get("how") != "ready":
            failure = Outcome(how="impossible", why=str(ready.get("why", f"{self._python} gave no answer")))
            self._replace(process, failure)
            return failure
        told = process.ask(job, limits.time_s + _GRACE_S)
        if told is None:
            self._replace(process, None)
            return Outcome(how="timeout", why="the process that runs jobs hung or died with it")
        return _outcome(told)

    def _begun(self) -> Process | Outcome:
        assert self._folder is not None, "a sandbox is used in a with statement"
        with self._lock:
            if self._process is None:
                try:
                    self._process = self._started(Path(self._folder.name))
                except OSError as error:
                    self._process = Outcome(how="impossible", why=f"{self._python} cannot be started: {error}")
            return self._process

    def _started(self, folder: Path) -> Process:
        room, home = folder / "room", folder / "home"
        for path in (room, home):
            path.mkdir(exist_ok=True)
        environment = {
            "LANG": "C.UTF-8",
            **self._environment,
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONPATH": str(_CODE),
            "PYTHONNOUSERSITE": "1",
        }
        setting = {
            "entry": self._entry, "preload": self._preload, "room": str(room),
            "hidden": [str(path) for path in _hidden()],
        }  # fmt: skip
        return Process(self._python, setting, environment=environment, directory=home)

    def _replace(self, process: Process, by: Outcome | None) -> None:
        """End a process; None is for another, when there is a job for it."""
        process.end()
        with self._lock:
            if self._process is process:
                self._process = by


def _hidden() -> list[Path]:
    """All that is ours: what must come of a job's calls stands there. Of a folder of installed packages, our own."""
    return [_CODE / name for name in _OURS] if _CODE.name in ("site-packages", "dist-packages") else [_CODE]


def _outcome(told: Told) -> Outcome:
    how = told.get("how")
    if how not in get_args(How):
        return Outcome(how="unreadable", why=f"the process that runs jobs said {how!r}")
    outcome = Outcome(
        how=cast(How, how),
        why=str(told.get("why", "")),
        said=str(told.get("said", "")),
        wall_s=float(told.get("wall_s", 0.0)),
    )
    if how != "answered":
        return outcome
    try:
        return replace(outcome, value=json.loads(told["answer"]))
    except (ValueError, RecursionError) as error:
        return replace(outcome, how="unreadable", why=f"no JSON: {error}")
