"""The kill matrix in its views: a row a fault, a mark a check, what is wrong in words, and the numbers last."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from harness import codec
from harness.records.faults import Check, CheckedFault, Control, FaultResult, KillMatrix, StruckCase
from reports.faults import json_document, terminal

TENSOR = "model.layers.1.mlp.experts.2.up_proj.weight"


def checked(
    check: Check, *, caught: bool = True, named: bool = True, owed: bool = True, **changes: Any
) -> CheckedFault:
    """What one check made of it."""
    verdict = "FAIL" if caught else "PASS"
    made = CheckedFault(
        check=check, result=f"of {check}", verdict=verdict, cause="", is_owed=owed, caught=caught, named=named
    )
    return replace(made, **changes)


def fault(*checks: CheckedFault, name: str = "one_expert_missed") -> FaultResult:
    """A row of one case."""
    owed = [each for each in checks if each.is_owed]
    case = StruckCase(
        case="case",
        dtype="float32",
        hit=(TENSOR,),
        owed=("merged", "verify"),
        checks=checks,
        is_caught=all(each.caught for each in owed) and len(owed) == 2,
        is_named=all(each.named for each in owed) and len(owed) == 2,
        rerun="deltaproof faults --seed 0 -k 'one_expert_missed and case'",
    )
    return FaultResult(
        name=name, what="", source="", place="artifact", only="", caught_by=(), cases=(case,),
        is_caught=case.is_caught, culprit_named=case.is_named,
    )  # fmt: skip


def matrix(*faults: FaultResult, alarms: tuple[str, ...] = ()) -> KillMatrix:
    """All of it."""
    num_caught = sum(each.is_caught and each.culprit_named for each in faults)
    return KillMatrix(
        schema_version="1.0",
        seed=0,
        num_faults=len(faults),
        num_caught=num_caught,
        num_false_alarms=len(alarms),
        num_controls=2,
        exit_code=int(num_caught < len(faults) or bool(alarms)),
        faults=faults,
        controls=(Control(case="clean", seed=1, num_checks=4, alarms=alarms),),
    )


def printed(shown: KillMatrix) -> str:
    """As a terminal has it."""
    console = Console(file=io.StringIO(), width=140)
    console.print(terminal.summary(shown))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


GOOD = fault(checked("write", owed=False, named=False), checked("lora", owed=False, caught=False, named=False),
             checked("merged"), checked("verify"))  # fmt: skip


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
    text = printed(matrix(GOOD, fault(*checks, name="another")))
    assert "✕ another in case: hit model.layers.1.mlp.experts.2.up_proj.weight" in text
    assert words in text
    assert "deltaproof faults --seed 0 -k 'one_expert_missed and case'" in text
    assert "✕ 1 of 2 faults caught and named" in text


def test_whatever_was_hit_is_shown() -> None:
    """Some of the tensors, and some of what is no tensor, with the word for it."""
    row = fault(checked("verify"), checked("merged", named=False))
    hit = (*(f"model.layers.{layer}.mlp.down_proj.weight" for layer in range(30)), "key one.A", "key two.A", "file its")
    text = printed(matrix(replace(row, cases=(replace(row.cases[0], hit=hit),))))
    said = " ".join(text.split())
    assert "hit model.layers.0.mlp.down_proj.weight" in said
    assert "; key one.A, two.A; file its" in said


def test_a_missed_check_that_was_owed_is_marked() -> None:
    """Otherwise than one that has nothing to say of it."""
    text = printed(matrix(fault(checked("merged", caught=False, named=False), checked("verify"))))
    [row] = [line for line in text.splitlines() if "│ one_expert_missed" in line]
    assert ["✕", "●"] == [word for word in row.split() if word in "●○·✕"]


def test_a_false_alarm_is_said() -> None:
    """With the clean case in which it was."""
    text = printed(matrix(GOOD, alarms=("merged clean@r1>merged>r1: FAIL delta_missing",)))
    assert "✕ false alarm in the clean clean: merged clean@r1>merged>r1: FAIL delta_missing" in text
    assert "1 false alarms in 2 clean runs" in text


def test_the_json_is_the_records() -> None:
    """Read again, it is the same matrix; the keys that jobs rely on are there."""
    shown = matrix(GOOD)
    text = json_document.render(shown)
    assert shown == codec.decode(KillMatrix, json.loads(text), where="here")
    assert {"num_faults", "num_caught", "num_false_alarms", "faults"} <= json.loads(text).keys()
    assert {"name", "source", "caught_by", "culprit_named"} <= json.loads(text)["faults"][0].keys()
