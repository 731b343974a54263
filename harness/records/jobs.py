"""What a cell's process is asked to do, and what it answers: jobs and observations. They cross as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.records.cases import Case, Dialect, Family, Form, Stack, saved_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """A fault of `cases/faults/` that is put on purpose into a job: where it hits is drawn from the seed."""

    fault: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What a strike hit, and so what a finding must name. Tensors by their canonical names; empty where it has none."""

    tensors: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Tensors of the adapter's file, as it calls them now: what a finding of a name that means nothing must name."""
    field: str = ""
    """A field of a configuration."""
    file: str = ""
    """A path in the saved form."""

    @property
    def told(self) -> tuple[str, ...]:
        """All of it for people: tensors by their names alone, and before what is no tensor the word for it."""
        others = {"key": self.keys, "field": (self.field,), "file": (self.file,)}
        return (*self.tensors, *(f"{word} {name}" for word, names in others.items() for name in names if name))


Reach = Literal["own_row", "own_stack", "other_stack"]
"""How far a route goes: to the row that wrote, to another row of its stack, or to a row of another stack."""


STRUCK = "+"
"""In an id, before the name of what is put into the job."""


def _struck(strike: Strike | None) -> str:
    return f"{STRUCK}{strike.fault}" if strike else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """A case to be written by a cell, before anybody knows where its files will be."""

    case: Case
    family: Family
    cell: str
    strike: Strike | None = None

    @property
    def id(self) -> str:
        """The id of its job and of its result."""
        return f"{self.case.name}@{self.cell}{_struck(self.strike)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRead:
    """A route: one form (in one dialect) of what `writer` saves of a case, to be read by the cell `reader`."""

    case: Case
    family: Family
    writer: str
    reader: str
    form: Form
    dialect: Dialect = ""
    strike: Strike | None = None
    written_strike: Strike | None = None
    """That of the write that it reads."""

    @property
    def id(self) -> str:
        """The id of its job and of its result."""
        return f"{self.written_id}>{saved_as(self.form, self.dialect)}>{self.reader}{_struck(self.strike)}"

    @property
    def written_id(self) -> str:
        """The id of the write that it reads."""
        return f"{self.case.name}@{self.writer}{_struck(self.written_strike)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """Train one case in one cell and save both forms, the adapter in every dialect that is owed, into `directory`."""

    id: str
    case: Case
    family: Family
    writer: str
    base: str
    """Path of the base checkpoint (written by our own code, shared by all cells)."""
    directory: str
    """Path to create. It appears whole, by one rename, or not at all."""
    strike: Strike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadJob:
    """Reload one form (in one dialect) of what `writer` saved, in the cell `reader`; observe it into `directory`."""

    id: str
    case: Case
    family: Family
    writer: str
    reader: str
    form: Form
    dialect: Dialect = ""
    base: str
    written: str
    """Path of the WriteJob's directory."""
    directory: str
    strike: Strike | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One process of a cell: the jobs of one phase, in order. The file that the engine hands to pytest."""

    cell: str
    stack: Stack
    phase: str
    events: str
    """Path of a JSON-lines file to which the process appends one `Event` when a job starts and when it ends."""
    writes: tuple[WriteJob, ...] = ()
    reads: tuple[ReadJob, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A line of a batch's progress."""

    job: str
    state: str
    """"started" or "finished"."""
    at_s: float
    """Seconds since the epoch."""
    message: str = ""
    """With "finished": the traceback of what the job raised; empty if it raised nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """An exception that ended a job, as it was raised by the code under test."""

    stage: str
    """What was being done: load_base, adapt, train, save_adapter, merge, load_adapter, load_merged, observe."""
    exception: str
    """The exception's type name."""
    message: str
    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What the loader said about keys. Believed for naming a cause, never for passing a check."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What a write saved and no reader can make sense of, or several readers each in their own way."""

    kind: str
    """As a finding calls it."""
    message: str
    tensor: str = ""
    """By its stored name; empty where it is about a file."""
    file: str = ""
    """A path in the saved form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldValue:
    """A configuration field as our base checkpoint declares it and as the loaded model holds it (JSON texts)."""

    name: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of an artifact: path relative to it, bytes, SHA-256."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one job observed, beside the arrays in its directory (`harness.metrics.observed` names those files).

    `crash` is set if the job could not finish: then only what came before it is there.
    """

    job: str
    stack: str = ""
    """The stack that did the job; empty for a base checkpoint, which is our own code's."""
    crash: Crash | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package to version as imported in the process that did the work."""
    warnings: tuple[str, ...] = ()
    """Distinct warnings and log lines at WARNING or above, first line each."""
    loading: LoadReport = field(default_factory=LoadReport)
    fields: tuple[FieldValue, ...] = ()
    """Configuration fields of the loaded model against those of the base checkpoint."""
    adapted: tuple[str, ...] = ()
    """Canonical names of the tensors that the stack adapted (a write) or reloaded as adapted (a lora read)."""
    contradictions: tuple[Contradiction, ...] = ()
    """Of a write: where the files that it saved cannot be read, or say two things."""
    losses: tuple[float, ...] = ()
    timings_s: Mapping[str, float] = field(default_factory=dict)
    files: tuple[FileEntry, ...] = ()
    """Every file of the job's directory but this record, so that a later change of any of them is seen."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    hit: Hit | None = None
    """Of a job with a strike."""
