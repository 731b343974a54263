"""The kill matrix at a terminal: a row a fault, a mark a check, what is wrong in words, and the numbers last."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from harness.records.faults import CheckedFault, KillMatrix
from reports.faults import terminal
from tests.reports.faults.builders import CRASHED, GOOD, NOT_RUN, checked, fault, matrix, struck


def printed(shown: KillMatrix) -> str:
    """As a terminal has it."""
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal.summary(shown))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_good_matrix_ends_with_its_numbers() -> None:
    """Named, caught though not asked, nothing to say; and no word of trouble."""
    text = printed(matrix(GOOD))
    [row] = [line for line in text.splitlines() if "one_expert_missed" in line]
    assert ["artifact", "○", "·", "●", "●", "float32"] == [word for word in row.split() if word != "│"][1:]
    assert "✓ 1 of 1 faults caught and named · 0 false alarms in 2 clean runs · seed 0" in text
    assert "✕ one" not in text


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (checked("merged", caught=False, named=False), "merged: PASS"),
        (checked("merged", named=False, message="expected layer 1, got None"), "expected layer 1, got None"),
        (None, "merged: was not run"),
    ],
    ids=["missed", "not named", "not run"],
)
def test_what_is_wrong_is_said_with_how_to_see_it_again(bad: CheckedFault | None, words: str) -> None:
    """What was hit, what the check said, and the command."""
    checks = [checked("verify"), *([bad] if bad else [])]
    text = printed(matrix(GOOD, fault(struck(*checks), name="another")))
    assert "✕ another in qwen3_moe-float32-loop: hit model.layers.1.mlp.experts.2.up_proj.weight" in text
    assert words in text
    assert "deltaproof faults --seed 0 -k 'one_expert_missed and qwen3_moe-float32-loop'" in text
    assert "✕ 1 of 2 faults caught and named" in text


def test_whatever_was_hit_is_shown() -> None:
    """Some of the tensors, and some of what is no tensor, with the word for it."""
    row = struck(checked("verify"), checked("merged", named=False))
    hit = (*(f"model.layers.{layer}.mlp.down_proj.weight" for layer in range(30)), "key one.A", "key two.A", "file its")
    said = " ".join(printed(matrix(fault(replace(row, hit=hit)))).split())
    assert "hit model.layers.0.mlp.down_proj.weight" in said
    assert "; key one.A, two.A; file its" in said


@pytest.mark.parametrize(
    ("row", "marks"), [(CRASHED, ["✕", "●"]), (NOT_RUN, ["●", "✕"])], ids=["a crash", "a check that was not run"]
)
def test_a_missed_check_that_was_owed_is_marked(row: object, marks: list[str]) -> None:
    """Otherwise than one that has nothing to say of it, and whether it was silent, crashed or never asked."""
    text = printed(matrix(row))  # type: ignore[arg-type]
    [line] = [line for line in text.splitlines() if "│ stale" in line]
    assert marks == [word for word in line.split() if word in "●○◐·✕"]


def test_a_false_alarm_is_said() -> None:
    """With the clean case in which it was."""
    text = printed(matrix(GOOD, alarms=("merged clean@r1>merged>r1: FAIL delta_missing",)))
    assert "✕ false alarm in the clean clean: merged clean@r1>merged>r1: FAIL delta_missing" in text
    assert "1 false alarm in 2 clean runs" in text
