"""What is asked of a look at canaries, and who is told how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """Is told how far the work is; `checked` by several threads, one at a time."""

    def started(self, num_guards: int) -> None:
        """So many guards will be checked, over all releases."""

    def looking(self, release: str) -> None:
        """A release comes next: its package and version."""

    def checked(self, rule: str) -> None:
        """One guard more was checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRequest:
    """What is asked. Of version, newest, path and since at most one; none is what is installed, or else the newest."""

    out: Path
    version: str = ""
    newest: bool = False
    path: Path | None = None
    since: str = ""
    until: str = ""
    expression: str = ""
    """By which its rules were chosen: `load_rules`."""
    seed: str = ""
    """Empty for one that nobody can know."""
    today: date
    command: str
