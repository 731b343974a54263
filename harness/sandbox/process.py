"""Talks with a process apart (`apart.py`): who waits for which of its answers. Does not know what they say."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

_MAX_LINE = 2**26
_END_S = 10.0
Told = dict[str, Any]
"""An answer; of one that does not come, None is told."""


class Process:
    """One that is asked by several threads at once, and answers in any order. Ends when `end` is called.

    Raises OSError if `python` cannot be started.
    """

    def __init__(self, python: str, setting: Told, *, environment: Mapping[str, str], directory: Path) -> None:
        self._popen = subprocess.Popen(
            [python, "-m", "harness.sandbox.apart"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=directory,
            env=environment,
            start_new_session=True,
        )
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Told | None]] = {}
        self._lock = threading.Lock()
        self._is_silent = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._ready = self._sent(setting)

    def ready(self, limit_s: float) -> Told | None:
        """What it says to the setting, before it does anything else."""
        return _waited_for(self._ready, limit_s)

    def ask(self, asked: Told, limit_s: float) -> Told | None:
        """The answer; None if there is none in time, or none that can be read."""
        return _waited_for(self._sent(asked), limit_s)

    def end(self) -> None:
        """Kill it. Whoever waits is told that there is no answer."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)  # who runs jobs too, which may not yet die with the first
        self._popen.wait()
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.close()  # whoever is left reads its end
        self._listener.join(_END_S)
        if not self._listener.is_alive():
            self._popen.stdout.close()

    def _sent(self, asked: Told) -> Future[Told | None]:
        assert self._popen.stdin is not None
        answer: Future[Told | None] = Future()
        number = next(self._numbers)
        line = json.dumps({"number": number, **asked}).encode() + b"\n"
        with self._lock:
            if self._is_silent:
                answer.set_result(None)
                return answer
            self._waiting[number] = answer
            with contextlib.suppress(OSError):  # it has ended, and whoever listens tells all that wait
                self._popen.stdin.write(line)
                self._popen.stdin.flush()
        return answer

    def _listen(self) -> None:
        """Hand out answers, until one is no answer: nothing that comes later is believed."""
        assert self._popen.stdout is not None
        with contextlib.suppress(ValueError, LookupError, TypeError):
            while line := self._popen.stdout.readline(_MAX_LINE):
                told: Told = json.loads(line)
                self._waiting.pop(told["number"]).set_result(told)
        with self._lock:
            self._is_silent = True
            for answer in self._waiting.values():
                answer.set_result(None)
            self._waiting.clear()


def _waited_for(answer: Future[Told | None], limit_s: float) -> Told | None:
    try:
        return answer.result(limit_s)
    except TimeoutError:
        return None
