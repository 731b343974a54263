"""What people write under `cases/faults/`: a real bug, what must catch it, and what must be named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.records.cases import Form

Check = Literal["write", "lora", "merged", "verify"]
"""Who can catch a fault: the judge of a write, of a reload of the adapter, of a reload of the merge; and `verify`."""
CHECKS: tuple[Check, ...] = ("write", "lora", "merged", "verify")
Place = Literal["artifact", "stack", "environment"]

SCHEMA_VERSION = "1.0"
"""Of the kill matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A known bug that is put into a job on purpose: `FAULT` of a module in `cases/faults/`, named by its file."""

    what: str
    """What really happened, in a sentence or two."""
    source: str
    """Project and thread where it was seen; or the project's own document that measured it."""
    place: Place
    """Where it is put: into what was saved, into the stack's code (one function), or into what surrounds it."""
    form: Form | None = None
    """None: while a cell writes. Else: while it reads this form of a write that is clean."""
    cases: tuple[str, ...]
    """The cases that it is put into: each dtype in which it can exist."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of these cases that are otherwise here, such as the number of steps: then they are cases of their own."""
    clean: Literal["PASS", "INCONCLUSIVE"] = "PASS"
    """What the judges say of the same without the fault: INCONCLUSIVE where a training is too weak on purpose."""
    only: str = ""
    """Why it cannot exist in the dtypes that are not among the cases'; empty where it is in both."""
    row: str = "r1"
    """The row of the matrix whose stack has it."""
    names: Mapping[Check, str]
    """Each check that must catch it, with the kind of finding by which it must name it."""
    crashes: bool = False
    """True where the real bug raised: else an exception catches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedFault:
    """What one check made of one fault in one case."""

    check: Check
    result: str
    """The id of the result that it judged."""
    verdict: str
    cause: str
    is_owed: bool
    """Whether it must catch it."""
    kind: str = ""
    """The kind of finding by which it must name it; empty where it need not."""
    caught: bool
    named: bool
    """Caught, and by the kind that was asked for, with the very tensors, field or file that were hit."""
    message: str = ""
    """Why it is not named; empty if it is, or need not be."""
    metrics: tuple[str, ...] = ()
    """Those of the judge's gates that failed; `verify` has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StruckCase:
    """One fault in one case."""

    case: str
    dtype: str
    hit: tuple[str, ...]
    """What it hit, as the strike says: canonical names of tensors; and "key …" of the adapter's file, "field …" of a
    configuration, "file …" of what is saved."""
    owed: tuple[Check, ...]
    """Checks that must catch it."""
    checks: tuple[CheckedFault, ...]
    is_caught: bool
    """By every check that must catch it."""
    is_named: bool
    rerun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultResult:
    """A row of the kill matrix."""

    name: str
    area: str
    """What it is a fault of: the folder that it lies in (loading, adapters, merging, running)."""
    what: str
    source: str
    place: str
    caught_by: tuple[str, ...]
    """Checks that caught it in every case; those that need not among them."""
    culprit_named: bool
    is_caught: bool
    only: str
    cases: tuple[StruckCase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A clean run, and the checks that flagged it all the same."""

    case: str
    seed: int
    num_checks: int
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KillMatrix:
    """All faults, all controls: `faults --json`. HTML and Markdown are views of it and hold nothing more."""

    schema_version: str
    run_id: str
    started_at: str
    """ISO, in UTC."""
    command: str
    expression: str
    """What chose faults and cases (`-k`); empty where it is all of them."""
    seed: int
    num_faults: int
    num_caught: int
    """Caught and named."""
    num_false_alarms: int
    num_controls: int
    exit_code: int
    faults: tuple[FaultResult, ...]
    controls: tuple[Control, ...]
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Row to package to version."""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSummary:
    """The numbers of a kill matrix, for the report of a run: who checks the checker."""

    run_id: str
    started_at: str
    expression: str
    seed: int
    num_faults: int
    num_caught: int
    """Caught and named."""
    num_false_alarms: int
    num_controls: int
    exit_code: int
