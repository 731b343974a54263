"""What people read: measurements, checks, results, the report. The report's JSON is these records, encoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from harness.records.faults import KillSummary

VerdictName = Literal["PASS", "FAIL", "ERROR", "INCONCLUSIVE", "SKIPPED"]
Disposition = Literal["new", "known", "fixed", "expired", "none"]

SCHEMA_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A number made from observations."""

    kind_tag: ClassVar[str] = "measured"
    metric: str
    value: float
    unit: str
    num_compared: int
    """How many things the number was made from (positions, tensors, tokens). Zero never passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A measurement that could not be made, with its reason. Never None, NaN or 0."""

    kind_tag: ClassVar[str] = "missing"
    metric: str
    reason: str


Measurement = Measured | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where in the model. Empty strings and None where it does not apply."""

    tensor: str = ""
    layer: int | None = None
    expert: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, and where. Findings of the same kind are grouped: `num_alike` counts the group."""

    kind: str
    """A kind of DESIGN section 5, or one that says what those do not (coverage_lost, load_refused, …)."""
    message: str
    where: Location = field(default_factory=Location)
    expected: str = ""
    got: str = ""
    num_alike: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One gate applied to one measurement."""

    name: str
    verdict: VerdictName
    metric: str
    value: float | None
    """None where the measurement is missing: `message` says why."""
    tolerance: float | None
    relation: Literal["at_most", "at_least", "equals"]
    carries: bool
    """True if this check alone can fail the route; False if it confirms (DESIGN section 4.3)."""
    message: str
    num_compared: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the one pure judge says of one result: no clock, no files, no order dependence."""

    verdict: VerdictName
    cause: str
    """The cause signature: stable text that names what broke, such as "delta_missing experts". Empty on PASS."""
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageDelta:
    """A package whose version moved between two moments; an empty version means that it was not installed."""

    cell: str
    package: str
    earlier: str
    later: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGood:
    """The newest earlier run in which the same result passed, and what has moved in its cells since."""

    run_id: str
    started_at: str
    metric: str
    """The metric of the check that fails now."""
    value: float
    packages: tuple[PackageDelta, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One write (a case in a cell) or one route (writer → form → reader), judged."""

    id: str
    """"case@writer" for a write, "case@writer>form>reader" for a route: the form with its dialect, if it has one."""
    kind: Literal["write", "read"]
    case: str
    family: str
    dtype: str
    trainer: str
    writer: str
    reader: str
    """Empty for a write."""
    form: str
    """Empty for a write."""
    dialect: str = ""
    """How the adapter that was read is written, where the writer writes it in several ways."""
    judgement: Judgement
    disposition: Disposition
    known: str
    """Name of the known outcome that this is (or was expected to be); empty if none."""
    known_reason: str
    known_link: str
    measurements: tuple[Measurement, ...]
    first_diverging: str
    """The first module output of the forward pass that differs beyond noise; empty where nothing diverges."""
    experts: Mapping[str, int]
    """attempted, applied, fallback, zero_delta: expert projections, counted from disk or memory, never from logs."""
    warnings: tuple[str, ...]
    crash: str
    """The end of the traceback or log; empty if it ran."""
    what_to_do: str
    rerun: str
    """The command that reruns exactly this."""
    reused: bool
    """True if the observations were already there from an earlier run of the same lock, case and code."""
    timings_s: Mapping[str, float]
    seed: int
    directory: str
    """Path of the observations, relative to the output folder."""
    known_expires: str = ""
    """ISO date after which the known outcome must be looked at again; empty if none."""
    last_good: LastGood | None = None
    """None where no earlier run is known, or the result passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellReport:
    """A cell as it was built, or why it was not."""

    name: str
    why: str
    requirements: Mapping[str, str]
    versions: Mapping[str, str]
    """Every installed distribution to its version; empty if the cell could not be built."""
    lock_digest: str
    lock_path: str
    """Relative to the run's folder."""
    python: str
    error: str
    """The resolver's or the builder's own words; empty if it was built."""
    newest: bool = False
    stack: str = ""
    """The stack that works in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FullCountRow:
    """A row of the table at full count: 48 layers × 128 experts."""

    cell: str
    versions: Mapping[str, str]
    merged: int
    attempted: int
    kl_trained_reloaded_max: Measurement
    kl_trained_reloaded_equal_routing_max: Measurement
    kl_base_trained_mean: Measurement
    ratio_equal_routing: Measurement
    num_positions: int
    num_positions_equal_routing: int
    samples_equal: int
    num_samples: int
    verdict: VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine, as far as it can explain a number."""

    system: str
    processor: str
    num_cpus: int
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run, whole. HTML, JUnit and Markdown are views of it and hold nothing more."""

    schema_version: str
    run_id: str
    started_at: str
    duration_s: float
    command: str
    verdict: VerdictName
    exit_code: int
    headline: str
    counts: Mapping[str, int]
    """verdict and disposition names to how many results have them."""
    cells: tuple[CellReport, ...]
    results: tuple[Result, ...]
    full_count: tuple[FullCountRow, ...]
    timings_s: Mapping[str, float]
    """build, write, read, judge, total (wall), and import, work (summed over processes)."""
    host: Host
    code_digest: str
    faults: KillSummary | None = None
    """The newest kill matrix that lay in the same folder when the run ended; None where there was none."""
