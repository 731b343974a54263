"""The run's verdict, exit code, counts and headline."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import ExitCode
from harness.records.results import CellReport, Disposition, Result, VerdictName
from harness.runs.verdict import count, headline, run_verdict
from tests.reports.conftest import make_cell
from tests.runs.builders import result_of

BUILT, UNBUILT = make_cell("r1"), make_cell("r2", error="no solution")


@pytest.mark.parametrize(
    ("results", "cells", "expected"),
    [
        pytest.param([("PASS", "none")], [BUILT], ("PASS", 0), id="pass"),
        pytest.param([("PASS", "none"), ("FAIL", "known")], [BUILT], ("PASS", 0), id="a known break does not count"),
        pytest.param([("FAIL", "known")], [BUILT], ("PASS", 0), id="known breaks alone"),
        pytest.param([("PASS", "none"), ("SKIPPED", "none")], [BUILT], ("PASS", 0), id="a skip does not count"),
        pytest.param([("PASS", "none"), ("FAIL", "new")], [BUILT], ("FAIL", 1), id="new failure"),
        pytest.param([("PASS", "none"), ("ERROR", "new")], [BUILT], ("FAIL", 1), id="error"),
        pytest.param([("PASS", "none"), ("PASS", "fixed")], [BUILT], ("FAIL", 1), id="fixed"),
        pytest.param([("PASS", "none"), ("FAIL", "expired")], [BUILT], ("FAIL", 1), id="expired"),
        pytest.param([("PASS", "none"), ("SKIPPED", "new")], [BUILT], ("FAIL", 1), id="a skip on newest"),
        pytest.param([("PASS", "none"), ("INCONCLUSIVE", "new")], [BUILT], ("INCONCLUSIVE", 3), id="untold"),
        pytest.param([("INCONCLUSIVE", "new"), ("FAIL", "new")], [BUILT], ("FAIL", 1), id="failure before untold"),
        pytest.param([("PASS", "none")], [BUILT, UNBUILT], ("ERROR", 4), id="a row was not built"),
        pytest.param([("FAIL", "new")], [BUILT, UNBUILT], ("FAIL", 1), id="failure before a row"),
        pytest.param([("INCONCLUSIVE", "new")], [BUILT, UNBUILT], ("ERROR", 4), id="a row before untold"),
        pytest.param([], [UNBUILT], ("ERROR", 4), id="no row was built"),
        pytest.param([], [BUILT], ("INCONCLUSIVE", 3), id="no results"),
        pytest.param([("SKIPPED", "none")], [BUILT], ("INCONCLUSIVE", 3), id="skips alone"),
    ],
)
def test_verdict_and_exit_code(
    results: list[tuple[VerdictName, Disposition]], cells: list[CellReport], expected: tuple[VerdictName, int]
) -> None:
    """1 before 4 before 3 before 0; only what passed or breaks as declared is green, and nothing is not."""
    found = run_verdict([result_of(*each) for each in results], cells)
    assert expected == found
    assert isinstance(found[1], ExitCode)


MIXED: list[Result] = [
    result_of(),
    result_of(),
    result_of("FAIL", "new"),
    result_of("FAIL", "known"),
    result_of("ERROR", "new"),
    result_of("PASS", "fixed"),
    result_of("INCONCLUSIVE", "new"),
    result_of("SKIPPED"),
]


def test_counts_are_of_verdicts_and_dispositions() -> None:
    """Every verdict and every disposition but none, and the total."""
    assert {
        "total": 8, "PASS": 3, "FAIL": 2, "ERROR": 1, "INCONCLUSIVE": 1, "SKIPPED": 1, "new": 3, "known": 1, "fixed": 1,
    } == count(MIXED)  # fmt: skip
    assert {"total": 0} == count([])


def test_the_headline_says_what_passed_and_everything_that_did_not() -> None:
    """How many of how many, in how many cells, and a part for each other standing that there is."""
    expected = "2 of 8 results pass in 1 of 2 cells, 3 fail, 1 cannot be told, 1 break as declared, 1 do not apply"
    assert expected == headline(MIXED, [BUILT, UNBUILT], count(MIXED))


def test_the_headline_of_a_green_run_is_short() -> None:
    """No part for what there is none of."""
    results = [replace(result_of(), id=str(number)) for number in range(2)]
    assert "2 of 2 results pass in 1 of 1 cells" == headline(results, [BUILT], count(results))
