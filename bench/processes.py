"""Whole processes as they are measured: what they took, and what they printed. Must not know what they do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.sides import UnmeasuredError

LAUNCHER = Path(__file__).with_name("launcher.py")
NUM_LAST_WORDS = 2000


class Ended(NamedTuple):
    """A process that has done what it should."""

    stdout: str
    wall_s: float
    """From its start to its exit."""
    processor_s: float
    """Of all its threads, and of the processes that it waited for."""
    peak_gib: float
    """The most that was resident, of the largest of its processes. Pages of mapped files count, once touched."""


def launch(command: Sequence[str], *, variables: Mapping[str, str], folder: Path, name: str) -> Ended:
    """Run `command` in `folder`, with these environment variables and no others. `name` is for its files there.

    Raises UnmeasuredError, with its last words, if it exits with anything but 0.
    """
    report, stdout, stderr = (folder / f"{name}.{kind}" for kind in ("json", "out", "err"))
    launcher = [sys.executable, str(LAUNCHER), str(report), *command]
    with stdout.open("wb") as out, stderr.open("wb") as error:
        launched = subprocess.run(launcher, env=dict(variables), cwd=folder, stdout=out, stderr=error, check=False)
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8")) if launched.returncode == 0 else {}
    if found.get("exit_code") != 0:
        words = stderr.read_text(encoding="utf-8", errors="replace")[-NUM_LAST_WORDS:]
        raise UnmeasuredError(f"{name}: exit code {found.get('exit_code', 'unknown')}\n{words}")
    printed = stdout.read_text(encoding="utf-8")
    return Ended(printed, found["wall_s"], found["processor_s"], found["peak_bytes"] / 2**30)
