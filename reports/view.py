"""What the views share: clusters by cause, the grid, package differences, the check that decides. Computed, not stored.

Takes a `Report` and gives small frozen records; knows no output format.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, get_args

from harness.history.standing import Standing, label, standing
from harness.records import cases
from harness.records.cases import FORMS, saved_as
from harness.records.results import CellReport, Check, Report, Result
from reports.text import counted, number, one_line, times

PRINCIPAL = tuple(name for packages in cases.PRINCIPAL.values() for name in packages)
"""The packages that name a cell of any stack, in the order in which every table shows them."""

SYMBOLS: Mapping[Standing, str] = {
    Standing.FAILED: "✕",
    Standing.INCONCLUSIVE: "?",
    Standing.KNOWN: "◆",
    Standing.SKIPPED: "–",
    Standing.PASSED: "✓",
}
RELATIONS: Mapping[str, str] = {"at_most": "≤", "at_least": "≥", "equals": "="}
EXIT_CODES: Mapping[int, str] = {
    0: "all pass",
    1: "a check failed or errored",
    2: "bad usage or unreadable input",
    3: "inconclusive: nothing failed, but something could not be told",
    4: "an environment could not be built",
    130: "interrupted",
}


SquareKey = tuple[str, str, str, str]
"""Form, writer, dialect and reader; the form of a write is "write", and its reader empty."""


class Tally(NamedTuple):
    """How many results stand how."""

    counts: Mapping[Standing, int]

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def leading(self) -> Standing:
        """The gravest standing that occurs; skips lead only where there is nothing else."""
        occurring = [each for each in Standing if self.counts.get(each)]
        return next((each for each in occurring if each is not Standing.SKIPPED), Standing.SKIPPED)

    @property
    def share(self) -> str:
        """How many of how many stand as `leading`: "3/17", or "17" where all do."""
        count = self.counts.get(self.leading, 0)
        return str(count) if count == self.total else f"{count}/{self.total}"

    @property
    def sentence(self) -> str:
        """Gravest first: "2 failed, 1 known, 14 passed"."""
        return ", ".join(f"{self.counts[each]} {each.value}" for each in Standing if self.counts.get(each))


def tally(results: Iterable[Result]) -> Tally:
    """The tally of `results`."""
    return Tally(Counter(standing(result) for result in results))


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """One pair of the grid. `tally` is None where no result exists; `built` is False where a cell of it is missing."""

    writer: str
    dialect: str
    reader: str
    form: str
    tally: Tally | None
    built: bool

    @property
    def key(self) -> str:
        """A text that names it."""
        return f"{self.writer}>{saved_as(self.form, self.dialect)}>{self.reader}"

    @property
    def route(self) -> str:
        """The same for people, under the heading of its form: "r1 → r3", "jax swapped → r2"."""
        source = source_of(self.writer, self.dialect)
        return f"{source} → {self.reader}" if self.reader else source


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One form's writers × readers; the form "write" has the single column of the writers themselves.

    A writer that saves in several dialects has a row for each: a row's name is the writer's, with the dialect.
    """

    form: str
    readers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """All the results that one cause explains, and the one to look at first."""

    cause: str
    standing: Standing
    results: tuple[Result, ...]
    example: Result
    writers: tuple[str, ...]
    """Cells that wrote them, in the order of the report's cells."""
    readers: tuple[str, ...]
    """Cells that read them; empty if only writes are concerned."""

    @property
    def cases(self) -> tuple[str, ...]:
        """Their cases."""
        return tuple(sorted({result.case for result in self.results}))

    @property
    def forms(self) -> tuple[str, ...]:
        """Their forms, with the dialect; empty if only writes are concerned."""
        return tuple(sorted({form_of(result) for result in self.results if result.form}))

    @property
    def size(self) -> str:
        """How many routes and writes: "12 routes, 3 writes"."""
        kinds = Counter(result.kind for result in self.results)
        words = [counted(kinds["read"], "route")] if kinds["read"] else []
        return ", ".join(words + ([counted(kinds["write"], "write")] if kinds["write"] else []))


class PackageDifference(NamedTuple):
    """A package whose version the writer's cell and the reader's cell do not share."""

    package: str
    writer: str
    reader: str


class PackageRow(NamedTuple):
    """A package and its version in each cell, in the order of the report's cells."""

    name: str
    versions: tuple[str, ...]
    differs: bool


class KnownGroup(NamedTuple):
    """A declared break, and the results that it explains."""

    name: str
    results: tuple[Result, ...]


def source_of(writer: str, dialect: str) -> str:
    """A row of the grid in words: "r1", "jax swapped"."""
    return f"{writer} {dialect}" if dialect else writer


def form_of(result: Result) -> str:
    """The form of a route with its dialect: "merged", "lora-swapped"; empty for a write."""
    return saved_as(result.form, result.dialect)


def cause_of(result: Result) -> str:
    """The text that results are clustered by."""
    if result.disposition == "fixed":
        return f"declared break no longer happens: {result.known}"
    if result.disposition == "expired":
        return f"declaration has expired: {result.known}"
    return result.judgement.cause or f"{result.judgement.verdict} without a cause"


def clusters(report: Report) -> tuple[Cluster, ...]:
    """The results that count, clustered by cause: the gravest and the most frequent first."""
    groups: dict[tuple[Standing, str], list[Result]] = defaultdict(list)
    for result in report.results:
        if standing(result).counts:
            groups[standing(result), cause_of(result)].append(result)
    named = cell_names(report)
    made = [
        Cluster(
            cause=cause,
            standing=stands,
            results=tuple(group),
            example=min(group, key=simplicity),
            writers=tuple(name for name in named if any(result.writer == name for result in group)),
            readers=tuple(name for name in named if any(result.reader == name for result in group)),
        )
        for (stands, cause), group in groups.items()
    ]
    return tuple(sorted(made, key=lambda each: (each.standing.gravity, -len(each.results), each.cause)))


def simplicity(result: Result) -> tuple[bool, bool, bool, str]:
    """Sort key, the easiest to reproduce first: a write before a route, one cell before two, float32 before others."""
    return (result.kind != "write", result.writer != result.reader, result.dtype != "float32", result.id)


def cell_names(report: Report) -> tuple[str, ...]:
    """The report's cells in their order, then any that only a result names."""
    named = {cell.name: None for cell in report.cells}
    for result in report.results:
        named |= {name: None for name in (result.writer, result.reader) if name}
    return tuple(named)


def grids(report: Report) -> tuple[Grid, ...]:
    """The writes, then each form's writers × readers. Cells without any result keep their row and column."""
    built = {cell.name: not cell.error for cell in report.cells}
    named = cell_names(report)
    squares = by_square(report)
    forms: list[str] = [form for form in FORMS if any(key[0] == form for key in squares)]
    forms += sorted({key[0] for key in squares} - {"write", *FORMS})
    made = []
    for form in (["write"] if any(key[0] == "write" for key in squares) else []) + forms:
        readers = ("",) if form == "write" else named
        rows = tuple(
            (
                source_of(writer, dialect),
                tuple(
                    Square(
                        writer=writer,
                        dialect=dialect,
                        reader=reader,
                        form=form,
                        tally=tally(found) if (found := squares.get((form, writer, dialect, reader))) else None,
                        built=built.get(writer, True) and (not reader or built.get(reader, True)),
                    )
                    for reader in readers
                ),
            )
            for writer in named
            for dialect in _dialects(squares, form, writer)
        )
        made.append(Grid(form=form, readers=readers, rows=rows))
    return tuple(made)


def by_square(report: Report) -> Mapping[SquareKey, list[Result]]:
    """The results of each square of the grid, the gravest first."""
    squares: dict[SquareKey, list[Result]] = defaultdict(list)
    for result in sorted(report.results, key=lambda each: (standing(each).gravity, each.case)):
        squares[result.form or "write", result.writer, result.dialect, result.reader].append(result)
    return squares


def _dialects(squares: Mapping[SquareKey, object], form: str, writer: str) -> list[str]:
    """The dialects of `form` in which anybody read what `writer` wrote, in their order; its own way if nobody did."""
    found = {key[2] for key in squares if key[:2] == (form, writer)} or {""}
    return [each for each in get_args(cases.Dialect) if each in found] + sorted(found - {*get_args(cases.Dialect)})


def known_groups(report: Report) -> tuple[KnownGroup, ...]:
    """The declared breaks that this run met (also those that no longer hold), by name."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in report.results:
        if result.known:
            groups[result.known].append(result)
    return tuple(KnownGroup(name, tuple(groups[name])) for name in sorted(groups))


def dispositions(results: Iterable[Result]) -> str:
    """How `results` of one declaration stand: "46 known, 2 fixed"."""
    counts = Counter(label(result).lower() for result in results)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def resembles(report: Report, result: Result) -> Result | None:
    """A known result of this run with the same cause signature as `result`, which is not known: a lead to follow."""
    if result.known or not result.judgement.cause:
        return None
    for other in report.results:
        if other.disposition == "known" and other.judgement.cause == result.judgement.cause:
            return other
    return None


def excess(check: Check) -> float | None:
    """How many times over its tolerance a check's value is (below 1 it holds); None where that has no meaning."""
    if check.value is None or check.tolerance is None or check.relation == "equals":
        return None
    if check.relation == "at_most":
        return _ratio(check.value, check.tolerance)
    return _ratio(check.tolerance, check.value)


def _ratio(numerator: float, denominator: float) -> float | None:
    # A count that must be zero is not any number of times over: how many there are says it all.
    if numerator < 0 or denominator <= 0:
        return None
    return numerator / denominator


def leading_check(result: Result) -> Check | None:
    """The check to show first: of those that fail the one that carries and is the furthest over, else the nearest."""
    checks = [check for check in result.judgement.checks if check.verdict not in ("PASS", "SKIPPED")]
    checks = checks or [check for check in result.judgement.checks if check.carries and excess(check) is not None]
    return max(checks, key=lambda check: (check.carries, excess(check) or 0.0), default=None)


def check_sentence(check: Check) -> str:
    """Value, tolerance and how many times over, in one line."""
    if check.value is None:
        return f"{check.name}: not measured ({one_line(check.message, 200)})"
    text = f"{check.name} = {number(check.value)}"
    if check.tolerance is None:
        return text
    text += f", must be {RELATIONS[check.relation]} {number(check.tolerance)}"
    over = excess(check)
    return text if over is None or check.verdict == "PASS" else f"{text}: {times(over)} over"


def what_failed(result: Result) -> str:
    """One sentence: the first finding's words, or the decisive check's, or the end of the crash."""
    if result.disposition == "fixed":
        return f"This was declared to break ({result.known}) and passes now."
    for finding in result.judgement.findings:
        return one_line(finding.message or finding.kind, 400)
    if result.crash.strip():
        return one_line(result.crash.strip().splitlines()[-1], 400)
    check = leading_check(result)
    if check is not None and check.verdict != "PASS":
        return one_line(check.message, 400) or check_sentence(check)
    return result.judgement.cause


def package_differences(report: Report, result: Result) -> tuple[PackageDifference, ...]:
    """The packages in which the writer's and the reader's cell differ, the principal ones first."""
    cells = {cell.name: cell for cell in report.cells}
    writer, reader = cells.get(result.writer), cells.get(result.reader)
    if writer is None or reader is None or writer is reader:
        return ()
    return tuple(
        PackageDifference(name, writer.versions.get(name, ""), reader.versions.get(name, ""))
        for name in sorted({*writer.versions, *reader.versions}, key=package_order)
        if writer.versions.get(name) != reader.versions.get(name)
    )


def package_table(report: Report) -> tuple[PackageRow, ...]:
    """Every installed package of any cell; `differs` among the cells that were built."""
    names = sorted({name for cell in report.cells for name in cell.versions}, key=package_order)
    return tuple(
        PackageRow(
            name=name,
            versions=tuple(cell.versions.get(name, "") for cell in report.cells),
            differs=len({cell.versions.get(name, "") for cell in report.cells if not cell.error}) > 1,
        )
        for name in names
    )


def package_order(name: str) -> tuple[int, str]:
    """Sort key: the principal packages in their order, then the others by name."""
    return (PRINCIPAL.index(name) if name in PRINCIPAL else len(PRINCIPAL), name)


def principal_versions(cell: CellReport) -> Mapping[str, str]:
    """The principal packages of `cell` to their versions; what was asked for where nothing is installed."""
    return {
        name: version for name in PRINCIPAL if (version := cell.versions.get(name) or cell.requirements.get(name, ""))
    }


def principal_columns(tables: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """The principal packages that any of `tables` (package to version) has, in their order."""
    held = {name for table in tables for name in table}
    return tuple(name for name in PRINCIPAL if name in held)


def next_step(report: Report) -> str:
    """What to do now, in one sentence."""
    made = clusters(report)
    unbuilt = ", ".join(one_line(cell.name, 40) for cell in report.cells if cell.error)
    if made and made[0].standing is Standing.FAILED:
        also = f" Then see why {unbuilt} could not be built." if unbuilt else ""
        return f"Start with “{one_line(made[0].cause, 120)}” ({made[0].size}).{also}"
    if unbuilt:
        return f"See why {unbuilt} could not be built, in the builder's own words."
    if made:
        return f"Find out why “{one_line(made[0].cause, 120)}” could not be told ({made[0].size})."
    if report.exit_code:
        return "Look at the end of the log: the results alone do not explain the exit code."
    return "Nothing to do."
