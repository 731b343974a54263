"""What each metric is for (`policy.toml`, written by people): where it applies, and what its failing means.

Numbers are measured, and live in `harness/judging/gates.toml`, which nobody edits.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.codec import decode
from harness.errors import CaseError
from harness.judging.gates import Scope, check_scopes

POLICY_PATH = Path(__file__).with_name("policy.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Scope):
    """One gate as people want it; the fields that `Gate` has too mean the same."""

    relation: Literal["at_most", "at_least", "all"]
    carries: bool = True
    optional: bool = False
    power: bool = False
    of_signal: bool = False
    bound: float | None = None
    """Given where no measurement places it: 0 of a count, the floor of the signal, the margin of a tie."""
    evidence: str
    """Why it is there, and why where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    gates: tuple[Policy, ...]


def load_policy(path: Path = POLICY_PATH) -> tuple[Policy, ...]:
    """Read it. Raises CaseError on an unknown key, a wrong value, or two gates for one thing."""
    table: _Table = decode(_Table, tomllib.loads(path.read_text(encoding="utf-8")), where=path.name, error=CaseError)
    check_scopes(table.gates, where=path.name)
    return table.gates
