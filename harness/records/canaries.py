"""What a canary is (`cases/canaries/*.toml`), what was seen of a guard, and what is said of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

SCHEMA_VERSION = "1.0"
Source = Literal["wheel", "sdist"]
Declared = Literal["", "known", "mended", "expired"]
"""How a declaration of a guard as broken fares: nobody made one; as declared; it holds again; its date is past."""


class State(StrEnum):
    """Of a guard in a release. Only what was executed says HELD, CHANGED or MOVED."""

    HELD = "held"
    CHANGED = "changed-but-held"
    """It does what it must, and its code is another than when somebody last read it."""
    MOVED = "moved"
    """It does what it must, under another name or in another file."""
    BROKEN = "broken"
    """It is there, and does not do what it must."""
    ABSENT = "absent"
    """It is nowhere in the package."""
    CANNOT_TELL = "cannot-tell"


HOLDS = frozenset({State.HELD, State.CHANGED, State.MOVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One execution of a guard, and what must come of it. The process that executes it knows `call` alone.

    `returns` is compared as JSON: "$E" is what was drawn for E, "_" fits anything. `raises` is the name of the
    exception's class, or of one that it is of. `equals` is computed here, and compared number by number.
    """

    name: str
    call: str
    """An expression, or statements that set `answer`; it sees what is given, the symbols, and `canaries.inside`."""
    returns: Any = None
    raises: str = ""
    equals: Equals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """What an array must be: a function of `expected.py`, and what is given to it, by name."""

    what: str
    of: tuple[str, ...]
    within: float = 1e-5
    """The largest difference, relative to the largest number of what is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a release's source: every place in `within` (a function; anywhere if empty) that fits a pattern.

    Patterns are ast-grep's (https://ast-grep.github.io): $X is any one thing, $$$X any number; in `put` they are what
    was found. Symbols and shapes of upstream's code are named, and its text is not stored.
    """

    find: str
    put: str
    within: str = ""
    where: str = ""
    """Another file than the rule's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A guard that is as it should be, or is not: a source of ours, or the release `of_release` with edits."""

    name: str
    source: str = ""
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBroken:
    """A guard that is known not to hold: shown, and not counted until `expires` or until it holds."""

    releases: str
    """A PEP 440 specifier."""
    calls: tuple[str, ...]
    """The calls that are known to go wrong; any other that does counts."""
    reason: str
    thread: str
    expires: str
    """A date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One guard of a package."""

    name: str
    why: str
    """What goes wrong, unseen, without it."""
    thread: str
    expected: str
    """The releases that must have it, a PEP 440 specifier."""
    where: str
    """The file in the package, `unsloth_zoo/saving_utils.py`."""
    symbols: Mapping[str, str] = field(default_factory=dict)
    """What calls name it, to its name in the file; `Class.method` and `function.inner` too. `package/file.py:name` is
    in another file."""
    parameters: tuple[str, ...] = ()
    """The names that the first symbol's parameters begin with."""
    pinned: tuple[str, ...] = ()
    """Digests of the code, as `deltaproof canary` shows them, that somebody has read."""
    behaviour: bool = False
    """Whether the package itself is imported, instead of the symbols taken out of it."""
    needs: tuple[str, ...] = ()
    """Packages that must be real; all others are stand-ins that do nothing."""
    leaves: tuple[str, ...] = ()
    """Modules of the package that are stand-ins too, with all in them (the package itself: alone)."""
    row: str = ""
    """Of `cases/matrix.toml`: whose environment executes; empty for this Python."""
    source: Source = "wheel"
    given: Mapping[str, Any] = field(default_factory=dict)
    """Name to what is drawn: `[2, 9]` a whole number from 2 to 9, all of them different; `{normal = ["E * r", "H"]}` an
    array of float32; anything else is itself."""
    times: int = 3
    """How often all is drawn anew."""
    time_s: float = 5.0
    uses: tuple[str, ...] = ()
    """Files of `cases/canaries/setups` that are executed before anything of the package is, without `.py`."""
    before: tuple[str, ...] = ()
    """What is executed after them, and before anything of the package too."""
    setup: str = ""
    """What is executed before the calls, when the symbols are there."""
    calls: tuple[Call, ...]
    good: tuple[Example, ...] = ()
    bad: tuple[Example, ...]
    of_release: str = ""
    """What the edits of the examples are made to."""
    known: tuple[KnownBroken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """One file: all canaries of a package."""

    package: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A call that did not go as it must."""

    call: str
    expected: str
    got: str
    given: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of one guard in one release."""

    rule: str
    state: State
    counts: bool
    """Whether it decides the exit code: not where it is not expected, nor where it is declared."""
    why: str
    """One sentence."""
    looked_at: tuple[str, ...]
    """Where the guard was found and what was executed, in words."""
    path: str = ""
    """The file of the package in which the guard was found; empty if it was not, or if the package was imported."""
    line: int = 0
    """Where it begins there, from 1; 0 if that is not known."""
    wrong: tuple[Wrong, ...] = ()
    digest: str = ""
    """Of the code that was executed, normalised."""
    declared: Declared = ""
    note: str = ""
    """What is declared, expired or mended."""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A rule, as far as a report needs it."""

    name: str
    package: str
    why: str
    thread: str
    where: str
    symbols: tuple[str, ...]
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """One release, with what is said of each of its guards."""

    package: str
    version: str
    origin: str
    digest: str
    verdicts: tuple[Verdict, ...]
    exit_code: int
    duration_s: float
    rerun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A guard that came, went, broke, moved or was mended between two releases that follow each other."""

    package: str
    rule: str
    release: str
    """The first that has it so."""
    before: State
    after: State
    what: str
    """In one word: came, broke, mended, moved, gone, changed, told, untold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryReport:
    """All that `deltaproof canary` says."""

    schema_version: str
    run_id: str
    started: str
    duration_s: float
    command: str
    expression: str = ""
    """Which guards were chosen; empty for all of them."""
    seed: str
    rules: tuple[Told, ...]
    releases: tuple[ReleaseReport, ...]
    """Of each package oldest first."""
    changes: tuple[Change, ...]
    exit_code: int
    """Of the newest release of each package, the worst."""
