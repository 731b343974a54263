"""A measured process as the driver sees it: started, asked line by line, and ended. Must not know what it measures."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO

from bench.work import Broken, Done, Drop, Order, Reply, Request
from harness.cells.variables import cell_environment
from harness.codec import decode, encode

ENDING_S = 20.0


class UnmeasuredError(Exception):
    """Something could not be measured; the message says why."""


class Side:
    """One process. It does one thing at a time, and waits for the next on a read: it uses no processor meanwhile."""

    def __init__(self, command: list[str], *, variables: Mapping[str, str], folder: Path, log: Path) -> None:
        """Start it in `folder`. What it and its libraries print goes to `log`."""
        self._log = log
        self._stderr: IO[bytes] = log.open("wb")
        self._process = subprocess.Popen(
            command,
            env=dict(variables),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process: without more to read, it ends by itself."""
        if kind is not None:
            self._process.kill()
        try:
            self._process.communicate(timeout=ENDING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        except OSError:  # its end of the line is closed already
            self._process.wait()
        self._stderr.close()

    def wait_until_ready(self) -> None:
        """Return when it has imported what it needs. Raises UnmeasuredError."""
        self.ask(Drop(name="nothing"))

    def ask(self, order: Order) -> Done:
        """Have `order` obeyed. Raises UnmeasuredError, with the words of the process, if it cannot be."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(encode(Request(order=order)), allow_nan=False) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise UnmeasuredError(self._last_words()) from error
        line = self._process.stdout.readline()
        if not line:
            raise UnmeasuredError(self._last_words())
        answer = decode(Reply, json.loads(line), where=self._log.stem).answer
        if isinstance(answer, Broken):
            raise UnmeasuredError(answer.traceback)
        return answer

    def _last_words(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace")[-2000:]
        return f"the measured process has ended (exit {self._process.wait()}):\n{text}"


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_environment(*, scratch: Path, code: Path, num_threads: int) -> dict[str, str]:
    """A cell's variables, but for speed: `num_threads` threads, and XLA as it is by default.

    Nothing that was compiled is kept from one process to the next.
    """
    variables = cell_environment(scratch=scratch, code=code)
    eigen = f"--xla_cpu_multi_thread_eigen={'true' if num_threads > 1 else 'false'}"
    variables["XLA_FLAGS"] = f"{eigen} {os.environ.get('XLA_FLAGS', '')}".strip()  # the last word is the user's
    variables.pop("JAX_COMPILATION_CACHE_DIR", None)
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # XLA goes by the third
    return variables | dict.fromkeys(threads, str(num_threads))
