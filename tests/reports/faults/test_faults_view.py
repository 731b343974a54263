"""What all views of a kill matrix share: marks, tallies and what is wrong in words."""

from __future__ import annotations

import pytest

from harness.records.faults import CHECKS, FaultResult
from reports.faults import view
from tests.reports.faults.builders import (
    CRASHED,
    GOOD,
    MATRICES,
    MISSED,
    NAMED,
    NOT_NAMED,
    NOT_RUN,
    NOWHERE,
    checked,
    fault,
    quiet,
    struck,
)

HALF = fault(struck(*NAMED), struck(quiet("write"), *NAMED[2:], case="qwen3_moe-bfloat16-loop"))
DIALECTS = fault(struck(checked("merged"), checked("verify"), checked("verify", named=False)))


@pytest.mark.parametrize(
    ("row", "marks"),
    [
        pytest.param(GOOD, ["besides", "quiet", "named", "named"], id="good"),
        pytest.param(MISSED, ["besides", "quiet", "owed", "named"], id="missed in one case of two"),
        pytest.param(NOT_NAMED, ["", "", "named", "caught"], id="not named"),
        pytest.param(NOT_RUN, ["", "", "named", "owed"], id="not run"),
        pytest.param(CRASHED, ["", "", "owed", "named"], id="crashed"),
        pytest.param(HALF, ["quiet", "quiet", "named", "named"], id="caught besides in one case of two"),
        pytest.param(DIALECTS, ["", "", "named", "caught"], id="not named in one dialect of two"),
        pytest.param(NOWHERE, ["", "", "", ""], id="in no case"),
    ],
)
def test_a_mark_is_the_worst_over_all_cases(row: FaultResult, marks: list[str]) -> None:
    """What must catch it and did not is missed, whatever other cases say; what need not is not blamed."""
    assert marks == [view.mark_of(row, check) for check in CHECKS]


def test_a_fault_counts_once_and_as_the_matrix_counts_it() -> None:
    """By area, by check and in all."""
    bad = MATRICES["bad"]
    assert (6, 1, 1, 4) == view.tally(bad.faults)
    assert bad.num_caught == view.tally(bad.faults).num_named
    assert {"merging": (4, 1, 1, 2), "loading": (1, 0, 0, 1), "running": (1, 0, 0, 1)} == {
        area.name: area.tally for area in view.areas(bad)
    }
    assert [
        ("write", 0, 0, 0, 0, 2),
        ("lora", 0, 0, 0, 0, 0),
        ("merged", 5, 3, 0, 2, 0),
        ("verify", 5, 3, 1, 1, 0),
    ] == ([tuple(each) for each in view.by_check(bad)])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        pytest.param(GOOD, [], id="good"),
        pytest.param(MISSED, [("merged", "PASS: not caught", ("bfloat16",))], id="missed"),
        pytest.param(
            NOT_NAMED, [("verify", "FAIL delta_missing experts.up: expected layer 1, got None", ("float32",))],
            id="not named",
        ),
        pytest.param(NOT_RUN, [("verify", "was not run", ("float32",))], id="not run"),
        pytest.param(
            CRASHED, [("merged", "ERROR crashed compare: nothing was judged, KeyError", ("float32",))], id="crashed"
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_check_by_check(row: FaultResult, expected: list[tuple[object, ...]]) -> None:
    """With the dtypes in which it is so; a good row has nothing to say."""
    assert expected == [(each.check, each.says, each.dtypes) for each in view.troubles(row)]


def test_the_headline_has_the_numbers_and_the_next_step_the_gravest() -> None:
    """False alarms before what is missed, that before what is not named."""
    assert "1 of 6 known bugs caught and named, 1 false alarm in 2 clean runs" == view.headline(MATRICES["bad"])
    assert "2 of 2 known bugs caught and named, no false alarm in 2 clean runs" == view.headline(MATRICES["good"])
    assert "false alarms" in view.next_step(MATRICES["bad"])
    assert "miss a fault" in view.next_step(MATRICES["many"])
    assert "Nothing to do." == view.next_step(MATRICES["good"])
