"""What changed between two runs: results, numbers, and the packages that moved in the cells concerned. Pure.

Compares what two reports say; judges nothing anew, and must not know where the reports came from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.history.standing import Standing, standing
from harness.records.results import CellReport, Measured, Measurement, Missing, PackageDelta, Report, Result

Change = Literal["worse", "better", "other", "appeared", "disappeared"]

NOISE_SHARE = 0.1
"""Of a check's tolerance: tolerances stand above noise, and below a tenth of one a value may wander freely."""
UNGATED_FLOOR = 1e-9
"""The least value that counts for a metric without a check: above float64's and float32's noise in KL (3e-13)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultChange:
    """A result whose standing or cause is not what it was. Verdicts are empty where it did not exist."""

    id: str
    change: Change
    """"other": it counts as before, for another cause or verdict."""
    earlier: str
    """Verdict and disposition, such as "PASS" or "FAIL known"."""
    later: str
    earlier_cause: str
    later_cause: str
    counts: bool
    """True if it counts against the later run: a known break does not."""
    packages: tuple[PackageDelta, ...]
    rerun: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementChange:
    """A number that moved by a factor, or could be measured in one run only."""

    id: str
    metric: str
    earlier: Measurement
    later: Measurement
    factor: float | None
    """Larger over smaller, at least 1; None where one of the two is missing or zero."""
    packages: tuple[PackageDelta, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """A cell that is not what it was: its packages, its lock, or whether it could be built."""

    cell: str
    change: Literal["changed", "appeared", "disappeared"]
    packages: tuple[PackageDelta, ...]
    lock_changed: bool
    earlier_error: str
    later_error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that changed from `earlier_run` to `later_run`."""

    earlier_run: str
    later_run: str
    earlier_started_at: str
    later_started_at: str
    results: tuple[ResultChange, ...]
    measurements: tuple[MeasurementChange, ...]
    cells: tuple[CellChange, ...]
    num_compared: int
    """Results that both runs have."""
    factor: float
    """From which factor on a number counts as moved."""

    @property
    def got_worse(self) -> bool:
        """True if something that counts against the later run was better before, or was not there."""
        return any(each.counts and each.change in ("worse", "appeared") for each in self.results)


def compare(earlier: Report, later: Report, *, factor: float = 10.0) -> Comparison:
    """What changed, the worst first. Numbers count from `factor` on, and only above noise."""
    earlier_results = {result.id: result for result in earlier.results}
    later_results = {result.id: result for result in later.results}
    cells = _cell_changes(earlier.cells, later.cells)
    moved = {change.cell: change.packages for change in cells}
    both = [id_ for id_ in later_results if id_ in earlier_results]
    changes = [
        _result_change(earlier_results.get(id_), later_results.get(id_), moved)
        for id_ in (*later_results, *(id_ for id_ in earlier_results if id_ not in later_results))
    ]
    found = [change for change in changes if change is not None]
    order = ("worse", "appeared", "disappeared", "other", "better")
    measurements = [
        change
        for id_ in both
        for change in _measurement_changes(earlier_results[id_], later_results[id_], moved, factor)
    ]
    return Comparison(
        earlier_run=earlier.run_id,
        later_run=later.run_id,
        earlier_started_at=earlier.started_at,
        later_started_at=later.started_at,
        results=tuple(sorted(found, key=lambda each: (order.index(each.change), each.id))),
        measurements=tuple(sorted(measurements, key=lambda each: (-(each.factor or math.inf), each.id, each.metric))),
        cells=cells,
        num_compared=len(both),
        factor=factor,
    )


def package_deltas(cell: str, earlier: Mapping[str, str], later: Mapping[str, str]) -> tuple[PackageDelta, ...]:
    """The packages of `cell` whose version differs, by name; "" where a package was not installed."""
    return tuple(
        PackageDelta(cell=cell, package=name, earlier=earlier.get(name, ""), later=later.get(name, ""))
        for name in sorted({*earlier, *later})
        if earlier.get(name, "") != later.get(name, "")
    )


def _cell_changes(earlier: Iterable[CellReport], later: Iterable[CellReport]) -> tuple[CellChange, ...]:
    before, after = ({cell.name: cell for cell in cells} for cells in (earlier, later))
    changes = []
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        change = CellChange(
            cell=name,
            change="appeared" if was is None else "disappeared" if now is None else "changed",
            # A cell that could not be built has no versions: that is no news about packages.
            packages=package_deltas(name, was.versions, now.versions)
            if was and now and was.versions and now.versions
            else (),
            lock_changed=bool(
                was and now and was.lock_digest and now.lock_digest and was.lock_digest != now.lock_digest
            ),
            earlier_error=was.error if was else "",
            later_error=now.error if now else "",
        )
        same_errors = bool(change.earlier_error) == bool(change.later_error)
        if change.change != "changed" or change.packages or change.lock_changed or not same_errors:
            changes.append(change)
    return tuple(changes)


def _result_change(
    earlier: Result | None, later: Result | None, moved: Mapping[str, tuple[PackageDelta, ...]]
) -> ResultChange | None:
    present = later or earlier
    assert present is not None, "a result comes from one of the two runs"
    change: Change
    if earlier is None:
        change = "appeared"
    elif later is None:
        change = "disappeared"
    else:
        # A skip measures nothing, so it is worse than a pass; a known break is worse than both.
        was, now = _rank(earlier), _rank(later)
        if was == now and _said(earlier) == _said(later) and earlier.judgement.cause == later.judgement.cause:
            return None
        change = "worse" if now > was else "better" if now < was else "other"
    return ResultChange(
        id=present.id,
        change=change,
        earlier=_said(earlier) if earlier else "",
        later=_said(later) if later else "",
        earlier_cause=earlier.judgement.cause if earlier else "",
        later_cause=later.judgement.cause if later else "",
        counts=later is not None and standing(later).counts,
        packages=_packages_of(present, moved),
        rerun=present.rerun,
    )


def _rank(result: Result) -> int:
    return len(Standing) - standing(result).gravity


def _said(result: Result) -> str:
    return (
        result.judgement.verdict
        if result.disposition in ("none", "new")
        else (f"{result.judgement.verdict} {result.disposition}")
    )


def _packages_of(result: Result, moved: Mapping[str, tuple[PackageDelta, ...]]) -> tuple[PackageDelta, ...]:
    names = dict.fromkeys(name for name in (result.writer, result.reader) if name)
    return tuple(delta for name in names for delta in moved.get(name, ()))


def _measurement_changes(
    earlier: Result, later: Result, moved: Mapping[str, tuple[PackageDelta, ...]], factor: float
) -> list[MeasurementChange]:
    before = {measurement.metric: measurement for measurement in earlier.measurements}
    tolerances = {
        check.metric: check.tolerance
        for check in later.judgement.checks
        if check.relation == "at_most" and check.tolerance is not None
    }
    changes = []
    for now in later.measurements:
        was = before.get(now.metric)
        if was is None or (isinstance(was, Missing) and isinstance(now, Missing)):
            continue
        by: float | None = None
        if isinstance(was, Measured) and isinstance(now, Measured):
            tolerance = tolerances.get(now.metric)
            floor = UNGATED_FLOOR if tolerance is None else NOISE_SHARE * tolerance
            large, small = sorted((abs(was.value), abs(now.value)), reverse=True)
            if large <= floor or (small and large / small < factor):
                continue
            by = large / small if small and math.isfinite(large / small) else None
        changes.append(
            MeasurementChange(
                id=later.id, metric=now.metric, earlier=was, later=now, factor=by, packages=_packages_of(later, moved)
            )
        )
    return changes
