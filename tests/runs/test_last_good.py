"""The newest earlier run in which a result passed, and what has moved since."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.records.results import CellReport, LastGood, Measured, PackageDelta, Report, Result
from harness.runs.last_good import LOOK_BACK, with_last_good
from reports.json_report import write_report
from tests.reports.conftest import make_cell, make_report
from tests.runs.builders import failed_check, result_of

KL = "kl_ratio"
CELL = make_cell("r1")
FAILED = result_of("FAIL", "new")
FAILED = replace(FAILED, judgement=replace(FAILED.judgement, checks=(failed_check(KL),)))
NOW = "20261121T000000-aaaa"


def passed(value: float) -> Result:
    """The same result as it was when it passed."""
    return result_of(measurements=(Measured(metric=KL, value=value, unit="ratio", num_compared=3),))


def store(runs: Path, run_id: str, *results: Result, peft: str = "0.19.1") -> Report:
    """An earlier run's report, on disk."""
    cell = replace(CELL, versions={**CELL.versions, "peft": peft})
    report = make_report(list(results), run_id=run_id, started_at="then " + run_id, cells=(cell,), full_count=())
    write_report(report, runs / run_id / "report.json")
    return report


def found(runs: Path, result: Result = FAILED, cells: tuple[CellReport, ...] = (CELL,)) -> LastGood | None:
    """The last good of one result."""
    (after,) = with_last_good([result], cells, runs, NOW)
    assert result == replace(after, last_good=None)
    return after.last_good


def test_it_is_the_newest_run_that_passed(tmp_path: Path) -> None:
    """Older ones and newer ones that failed are passed over; the value and the packages that moved are told."""
    store(tmp_path, "20261118T000000-aaaa", passed(1e-13))
    store(tmp_path, "20261119T000000-aaaa", passed(2e-13), peft="0.18.1")
    store(tmp_path, "20261120T000000-aaaa", FAILED)
    assert LastGood(
        run_id="20261119T000000-aaaa",
        started_at="then 20261119T000000-aaaa",
        metric=KL,
        value=2e-13,
        packages=(PackageDelta(cell="r1", package="peft", earlier="0.18.1", later="0.19.1"),),
    ) == found(tmp_path)


def test_nothing_moved_is_no_package(tmp_path: Path) -> None:
    """The same versions then as now."""
    store(tmp_path, "20261119T000000-aaaa", passed(2e-13))
    last = found(tmp_path)
    assert last is not None
    assert () == last.packages


@pytest.mark.parametrize(
    "result",
    [result_of(), result_of("FAIL", "known"), result_of("INCONCLUSIVE", "new"), result_of("SKIPPED")],
    ids=lambda result: f"{result.judgement.verdict} {result.disposition}",
)
def test_what_did_not_fail_has_none(tmp_path: Path, result: Result) -> None:
    """Only failures that count are explained."""
    store(tmp_path, "20261119T000000-aaaa", passed(2e-13))
    assert None is found(tmp_path, result)


def test_runs_that_are_not_earlier_are_not_asked(tmp_path: Path) -> None:
    """Neither this run nor a later one, whatever they say."""
    store(tmp_path, NOW, passed(2e-13))
    store(tmp_path, "20261122T000000-aaaa", passed(2e-13))
    assert None is found(tmp_path)


def test_reports_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    """A report cut short, or of another schema, says nothing, and does not stop the search."""
    good = store(tmp_path, "20261118T000000-aaaa", passed(1e-13))
    for run_id, text in (("20261119T000000-aaaa", '{"run_id"'), ("20261120T000000-aaaa", '{"schema_version": "0.1"}')):
        (tmp_path / run_id).mkdir()
        (tmp_path / run_id / "report.json").write_text(text, encoding="utf-8")
    last = found(tmp_path)
    assert last is not None
    assert good.run_id == last.run_id


def test_only_the_newest_runs_are_read(tmp_path: Path) -> None:
    """The search ends after so many runs."""
    store(tmp_path, "20261101T000000-aaaa", passed(1e-13))
    for day in range(LOOK_BACK - 1):
        store(tmp_path, f"202611{day + 2:02}T000000-aaaa", FAILED)
    assert None is not found(tmp_path)
    store(tmp_path, "20261120T000000-aaaa", FAILED)
    assert None is found(tmp_path)


def test_no_earlier_runs_are_no_last_good(tmp_path: Path) -> None:
    """A first run has none, nor one whose folder is not there."""
    assert None is found(tmp_path)
    assert None is found(tmp_path / "nowhere")


def test_a_crash_is_compared_by_what_the_earlier_run_was_judged_by(tmp_path: Path) -> None:
    """What crashes fails no check, and the packages that moved since matter all the same."""
    earlier = passed(2e-13)
    check = replace(failed_check(KL), verdict="PASS", carries=True)
    store(
        tmp_path,
        "20261119T000000-aaaa",
        replace(earlier, judgement=replace(earlier.judgement, checks=(check,))),
        peft="0.18.1",
    )
    last = found(tmp_path, result_of("ERROR", "new"))
    assert last is not None
    assert (KL, "0.18.1") == (last.metric, last.packages[0].earlier)
