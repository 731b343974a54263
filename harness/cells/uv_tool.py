"""Runs uv, the one tool that resolves and installs. Owns finding it and telling what it said when it failed.

Must not know what it is asked to do.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from harness.errors import EnvironmentBuildError

TIMEOUT_S = 3600.0
"""For one call; a first download of torch over a slow line takes minutes."""

_REMOVED = (
    "VIRTUAL_ENV",  # each call names its interpreter
    "UV_TORCH_BACKEND",  # torch is the CPU build, whatever a user prefers for work of their own
    "UV_EXCLUDE_NEWER",  # a lock has its own cut-off, and installing it needs none
)


def find_uv() -> str:
    """The path of uv. Raises FileNotFoundError if it is not installed."""
    try:
        from uv import find_uv_bin
    except ImportError as error:
        raise FileNotFoundError("the package uv is not installed") from error
    return str(find_uv_bin())


def run_uv(arguments: Sequence[str], *, where: str, doing: str, stdin: str = "") -> str:
    """What `uv ARGUMENTS` prints on stdout. `where` (a cell) and `doing` are for the error.

    Raises EnvironmentBuildError, with uv's own words as its log, if uv is not there, fails or does not end.
    """
    try:
        uv = find_uv()
    except FileNotFoundError as error:
        raise EnvironmentBuildError(
            "uv is not there", where=where, log=str(error), next_step="Install it: python -m pip install uv"
        ) from error
    environment = {name: value for name, value in os.environ.items() if name not in _REMOVED}
    # Words for a log: no colours, no progress bars.
    environment |= {"NO_COLOR": "1", "UV_NO_PROGRESS": "1"}
    environment.pop("FORCE_COLOR", None)
    try:
        ended = subprocess.run(
            [uv, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        log = f"uv did not end within {TIMEOUT_S:.0f} s: uv {' '.join(arguments)}"
        raise EnvironmentBuildError(f"{doing} did not end", where=where, log=log) from error
    except OSError as error:
        raise EnvironmentBuildError(f"uv cannot be run for {doing}", where=where, log=f"{uv}: {error}") from error
    if ended.returncode:
        log = (ended.stderr or ended.stdout).strip() or f"uv said nothing, and exited with {ended.returncode}"
        raise EnvironmentBuildError(f"{doing} failed", where=where, log=log)
    return ended.stdout
