"""Runs cases in a process that may hang or die, and starts another when it does. Judges nothing else."""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.verify.fuzz.cases import make
from tests.verify.fuzz.running import Result, from_json

ROOT = Path(__file__).parents[3]
PROGRAM = (sys.executable, "-m", "tests.verify.fuzz.child")
READY = "ready"
START_S = 300.0
"""To load and compile everything, on a machine that does other things too."""
LIMIT_S = 60.0
"""For one case, the making of it included: what takes as long hangs."""


class Watched:
    """A process that runs cases, and its successors."""

    def __init__(self, place: Path, *, program: Sequence[str] = PROGRAM, limit_s: float = LIMIT_S) -> None:
        self._command = [*program, str(place)]
        self._limit_s = limit_s
        self._child: _Child | None = None

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def run(self, seed: int, only: str = "") -> Result:
        """The result of a case. Raises RuntimeError if the undamaged triples are not answered as they should be."""
        if self._child is None:
            self._child = _Child(self._command)
            if self._child.answer(START_S) != READY:
                raise RuntimeError("the undamaged triples cannot be verified: see what the process wrote")
        try:
            if line := self._child.ask(f"{seed} {only}", self._limit_s):
                return from_json(line)
            end = f"ended the process, with {self._child.status()}"
        except TimeoutError:
            end = f"gave no answer in {self._limit_s:g} s"
        self._end()
        return _ended(seed, only, end, self._limit_s)

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None


class _Child:
    """One process."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)

    def ask(self, line: str, limit_s: float) -> str:
        """The answer to a line; empty if the process has ended. Raises TimeoutError if there is none in time."""
        try:
            self._input.write(f"{line}\n")
            self._input.flush()
        except BrokenPipeError:
            return ""
        return self.answer(limit_s)

    def answer(self, limit_s: float) -> str:
        """The next line of the output, as `ask` gives it. One line is all that there ever is."""
        if not self._selector.select(limit_s):
            raise TimeoutError
        return self._output.readline().strip()

    def status(self) -> int:
        """How it ended."""
        return self._process.wait()

    def end(self) -> None:
        """End it, whatever it does."""
        self._selector.close()
        self._process.kill()
        try:
            self._process.communicate()
        except BrokenPipeError:  # a line that it never read
            self._process.wait()


def _ended(seed: int, only: str, end: str, limit_s: float) -> Result:
    case = make(seed, only)
    return Result(
        seed=seed,
        variant=case.variant,
        damages=case.damages,
        truth=case.truth.name,
        allowed=tuple(sorted(case.allowed)),
        verdict="ENDED",
        text=end,
        alone="",
        complaints=(end,),
        processor_s=limit_s,
        growth_bytes=0,
    )
