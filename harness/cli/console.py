"""Where output goes: people's text to stderr, data to stdout. rich respects NO_COLOR and what is not a terminal."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

from rich.console import Console

DEFAULT_OUT = Path("reports/out")
"""Below the working directory, wherever the command runs."""
LOG_WIDTH = 132
OUT_HELP = "Where runs, artifacts and environments are kept."


@cache
def stderr() -> Console:
    """The console for people."""
    console = Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        console.width = LOG_WIDTH  # a log has no width of its own, and 80 columns fold our tables
    return console


class Interrupted(Exception):
    """Ctrl-C, with what is kept of the work in words."""


def write_stdout(text: str) -> None:
    """Data, and nothing else, to stdout."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()
