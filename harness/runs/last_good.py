"""For each new failure: the newest earlier run in which it passed, and what has moved in its cells since."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from harness import codec
from harness.errors import DeltaproofError
from harness.history.compare import package_deltas
from harness.history.standing import Standing, standing
from harness.records.results import CellReport, LastGood, Measured, PackageDelta, Report, Result

REPORT = "report.json"
LOOK_BACK = 10
"""Earlier runs that are read, the newest first."""


def with_last_good(
    results: Sequence[Result], cells: Sequence[CellReport], runs: Path, run_id: str
) -> tuple[Result, ...]:
    """`results`, the failed ones with their `last_good` where an earlier run in `runs` has it."""
    missing = {result.id for result in results if standing(result) is Standing.FAILED}
    if not missing:
        return tuple(results)
    found: dict[str, LastGood | None] = {}
    now = {cell.name: cell for cell in cells}
    by_id = {result.id: result for result in results}
    for earlier in _earlier(runs, run_id):
        if not missing:
            break
        then = {cell.name: cell for cell in earlier.cells}
        for result in earlier.results:
            if result.id in missing and result.judgement.verdict == "PASS":
                found[result.id] = _last_good(by_id[result.id], result, earlier, then, now)
                missing.discard(result.id)
    return tuple(replace(result, last_good=found.get(result.id)) for result in results)


def _last_good(
    failed: Result, passed: Result, earlier: Report, then: dict[str, CellReport], now: dict[str, CellReport]
) -> LastGood | None:
    metrics = [check.metric for check in failed.judgement.checks if check.verdict == "FAIL"]
    values = {m.metric: m.value for m in passed.measurements if isinstance(m, Measured)}
    # What crashes fails no check: then the first thing that the earlier run was judged by stands for it.
    metrics += [check.metric for check in passed.judgement.checks if check.carries]
    metric = next((name for name in metrics if name in values), "")
    if not metric:
        return None
    deltas: list[PackageDelta] = []
    for cell in dict.fromkeys((failed.writer, failed.reader)):
        if cell in then and cell in now:
            deltas += package_deltas(cell, then[cell].versions, now[cell].versions)
    return LastGood(
        run_id=earlier.run_id,
        started_at=earlier.started_at,
        metric=metric,
        value=values[metric],
        packages=tuple(deltas),
    )


def _earlier(runs: Path, run_id: str) -> Iterator[Report]:
    names = sorted((path.parent.name for path in runs.glob(f"*/{REPORT}")), reverse=True)
    for name in [name for name in names if name < run_id][:LOOK_BACK]:
        try:
            yield codec.read_json(Report, runs / name / REPORT)
        except DeltaproofError:
            continue  # a report of another schema, or one cut short: it cannot say what was good
