"""What pip is told: where packages come from is a machine's own matter, and its pip knows it."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections.abc import Mapping

_TIMEOUT_S = 60


def pip_setting(name: str) -> str:
    """A setting of `pip install` (`find-links`, `index-url`), by its environment variable or by pip's configuration.

    Empty if it is not set, or if no pip answers: an environment made by uv has none, its base may.
    """
    variable = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if variable is not None:
        return variable
    # In pip, what is said for one command goes before what is said for all.
    return configured().get(f"install.{name}", configured().get(f"global.{name}", ""))


@functools.cache
def configured() -> Mapping[str, str]:
    """All settings of pip's configuration files, `global.index-url`."""
    for python in dict.fromkeys((sys.executable, getattr(sys, "_base_executable", sys.executable))):
        try:
            listing = subprocess.run(
                [python, "-m", "pip", "--disable-pip-version-check", "config", "list"],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if listing.returncode == 0:
            return parse_listing(listing.stdout)
    return {}


def parse_listing(listing: str) -> dict[str, str]:
    """What `pip config list` prints."""
    settings: dict[str, str] = {}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        try:
            settings[key] = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
    return settings
