"""Asks a process apart (`apart.py`) to run jobs behind walls, and believes nothing of what comes back.

What a job answers is data of the kinds that JSON has, of limited length; whoever asked must know what is right.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, cast, get_args

import harness

How = Literal["answered", "ended", "timeout", "too_much", "unreadable", "impossible"]
"""`ended` without an answer; `too_much` or `unreadable` of one; `impossible`: nothing was run."""
_CODE = Path(harness.__file__).parents[1]
_OURS = ("harness", "cases", "reports", "reference")
_START_S = 120.0
"""For what is imported before the first job; torch and transformers take ten seconds on a slow machine."""
_GRACE_S = 20.0
"""Beyond a job's own time, before the process that runs jobs is itself taken for hung."""
_MAX_LINE = 2**26


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
    """A process that has imported what jobs need. One job at a time; a process that hangs or dies is replaced.

    `entry` is `module:function`, of one argument, importable by `python` from the folder that holds this package.
    """

    def __init__(
        self,
        python: Path | str,
        entry: str,
        *,
        preload: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._python = str(python)
        self._entry = entry
        self._preload = list(preload)
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: Outcome | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Sandbox:
        self._folder = tempfile.TemporaryDirectory(prefix="deltaproof-room-")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()
        if self._folder is not None:
            self._folder.cleanup()

    def run(self, request: Any, *, limits: Limits | None = None, visible: Sequence[Path] = ()) -> Outcome:
        """Have `entry` called with `request`, which sees the folders `visible` besides Python's own."""
        limits = limits or Limits()
        if self._process is None and self._failure is None:
            self._failure = self._start()
        if self._failure is not None:
            return self._failure
        job = {"request": request, "limits": asdict(limits), "visible": [str(path.resolve()) for path in visible]}
        told = self._ask(json.dumps(job), limits.time_s + _GRACE_S)
        if told is None:
            self._end()
            return Outcome(how="timeout", why="the process that runs jobs hung or died with it")
        return _outcome(told)

    def _start(self) -> Outcome | None:
        """Start the process; what happened if that cannot be."""
        assert self._folder is not None, "a sandbox is used in a with statement"
        folder = Path(self._folder.name)
        for name in ("room", "home"):
            (folder / name).mkdir(exist_ok=True)
        environment = {
            "LANG": "C.UTF-8",
            **self._environment,
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "home"),
            "PYTHONPATH": str(_CODE),
            "PYTHONNOUSERSITE": "1",
        }
        try:
            self._process = subprocess.Popen(
                [self._python, "-m", "harness.sandbox.apart"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder / "home",
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            return Outcome(how="impossible", why=f"{self._python} cannot be started: {error}")
        setting = {
            "entry": self._entry, "preload": self._preload, "room": str(folder / "room"),
            "hidden": [str(path) for path in _hidden()],
        }  # fmt: skip
        told = self._ask(json.dumps(setting), _START_S)
        if told is None or told.get("how") != "ready":
            self._end()
            return Outcome(how="impossible", why=str((told or {}).get("why", f"{self._python} gave no answer")))
        return None

    def _ask(self, line: str, limit_s: float) -> dict[str, Any] | None:
        """The answer to a line; None if there is none in time, or none that can be read."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(limit_s):
                return None
        try:
            told = json.loads(self._process.stdout.readline(_MAX_LINE))
        except ValueError:
            return None
        return told if isinstance(told, dict) else None

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


def _hidden() -> list[Path]:
    """All that is ours: what must come of a job's calls stands there. Of a folder of installed packages, our own."""
    return [_CODE / name for name in _OURS] if _CODE.name in ("site-packages", "dist-packages") else [_CODE]


def _outcome(told: Mapping[str, Any]) -> Outcome:
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
