"""What counts as caught: every check that must, by itself, and not by a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.faults.checking import Said
from harness.faults.killing import control, fault_result, struck_case
from harness.faults.planning import Planned, plan_faults
from harness.records.faults import CheckedFault, Control, Fault, FaultResult, StruckCase
from harness.records.jobs import Hit
from harness.records.results import Finding, Location
from harness.runs.request import Catalogue
from tests.faults.test_catalogue import GOOD

TENSOR = "model.layers.1.mlp.experts.2.up_proj.weight"
HIT = Hit(tensors=(TENSOR,))
FOUND = Finding(kind="delta_missing", message="it is base's", where=Location(tensor=TENSOR, layer=1, expert=2))
FAULT = replace(GOOD, names={"write": "delta_missing", "merged": "delta_missing"})


@pytest.fixture(scope="module")
def planned(catalogue: Catalogue) -> Planned:
    """A struck write of the catalogue's first case."""
    return plan_faults({"good": FAULT}, catalogue, 0, 0, lambda _: True)[0][0]


def said(check: str = "merged", verdict: str = "FAIL", *findings: Finding, **changes: Any) -> Said:
    """What one check says."""
    found = findings or ((FOUND,) if verdict == "FAIL" else ())
    return replace(Said(check=check, result=f"of {check}", verdict=verdict, cause="", findings=found), **changes)  # type: ignore[arg-type]


def judged(planned: Planned, *all_said: Said, fault: Fault = FAULT, hit: Hit | None = HIT) -> StruckCase:
    """What is made of it."""
    return struck_case(planned, fault, hit, all_said, 7)


WRITE, MERGED, LORA = said("write"), said("merged"), said("lora", "PASS")


def test_a_fault_that_every_check_named_is_caught_and_named(planned: Planned) -> None:
    """The adapter's check has nothing to say of a merge, and is not asked to."""
    case = judged(planned, WRITE, LORA, MERGED)
    assert (True, True, (TENSOR,)) == (case.is_caught, case.is_named, case.hit)
    assert case.rerun == "deltaproof faults --seed 7 -k 'good and qwen3_moe-float32-loop'"
    row = fault_result("good", "merging", FAULT, [case, case])
    assert (True, True, ("merged", "write")) == (row.is_caught, row.culprit_named, row.caught_by)
    assert "merging" == row.area
    assert {"write": "delta_missing", "merged": "delta_missing", "lora": ""} == {
        check.check: check.kind for check in case.checks
    }


CHECKED = CheckedFault(
    check="merged", result="of merged", verdict="FAIL", cause="", is_owed=True, kind="delta_missing", caught=True,
    named=True,
)  # fmt: skip
"""What is made of `MERGED`."""


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(replace(MERGED, cause="delta_missing experts.up", metrics=("m", "n")),
                     replace(CHECKED, cause="delta_missing experts.up", metrics=("m", "n")), id="named"),
        pytest.param(said("merged", "FAIL", replace(FOUND, kind="crashed"), cause="a cause"),
                     replace(CHECKED, cause="a cause", named=False, message="expected delta_missing, got crashed"),
                     id="another kind"),
        pytest.param(said("merged", "PASS"), replace(CHECKED, verdict="PASS", caught=False, named=False),
                     id="nothing"),
        pytest.param(said("merged", "ERROR", message="KeyError: 'q'", cause="crashed"),
                     replace(CHECKED, verdict="ERROR", cause="crashed", caught=False, named=False,
                             message="KeyError: 'q'"), id="a crash"),
        pytest.param(said("merged", "ERROR", cause="not_run"),
                     replace(CHECKED, verdict="ERROR", cause="not_run", caught=False, named=False, message="not_run"),
                     id="nothing was run"),
        pytest.param(said("lora", "FAIL", FOUND, cause="a cause", message="a word"),
                     replace(CHECKED, check="lora", result="of lora", cause="a cause", is_owed=False, kind="",
                             named=False), id="not asked"),
        pytest.param(said("lora", "PASS", cause="a cause"),
                     replace(CHECKED, check="lora", result="of lora", verdict="PASS", cause="a cause", is_owed=False,
                             kind="", caught=False, named=False), id="not asked, and nothing"),
    ],
)  # fmt: skip
def test_what_a_check_made_of_it_is_told_whole(one: Said, expected: CheckedFault, planned: Planned) -> None:
    """Whether it was caught and named, and if not, why not: by what was found, by a crash, or by what was not run."""
    assert (expected,) == judged(planned, one).checks


def test_of_a_hit_that_is_not_known_nothing_is_named(planned: Planned) -> None:
    """Nobody can say whether it is the culprit, and nothing is said of it."""
    (check,) = judged(planned, replace(MERGED, cause="a cause"), hit=None).checks
    assert replace(CHECKED, cause="a cause", named=False) == check


def test_a_row_is_told_whole(planned: Planned) -> None:
    """All that the fault says of itself, and what became of it in each case."""
    fault = replace(FAULT, only="a reason")
    case = judged(planned, MERGED, fault=replace(fault, names={"merged": "delta_missing"}))
    assert case == StruckCase(
        case="qwen3_moe-float32-loop",
        dtype="float32",
        hit=(TENSOR,),
        owed=("merged",),
        checks=(CHECKED,),
        is_caught=True,
        is_named=True,
        rerun="deltaproof faults --seed 7 -k 'good and qwen3_moe-float32-loop'",
    )
    assert fault_result("good", "merging", fault, [case]) == FaultResult(
        name="good",
        area="merging",
        what="an expert was missed",
        source="somewhere: a thread",
        place="artifact",
        caught_by=("merged",),
        culprit_named=True,
        is_caught=True,
        only="a reason",
        cases=(case,),
    )


def test_only_what_catches_it_in_every_case_is_said_to(planned: Planned) -> None:
    """Those that need not among them."""
    both = judged(planned, WRITE, MERGED, said("lora", "FAIL"))
    one = judged(planned, WRITE, said("merged", "PASS"), said("lora", "FAIL"))
    assert ("lora", "write") == fault_result("good", "merging", FAULT, [both, one]).caught_by


def test_a_control_is_told_whole(planned: Planned) -> None:
    """Its case and seed, how many checks there were, and each alarm in words."""
    alarm = said("merged", "FAIL", cause="delta_missing experts.up")
    case = planned.write.case
    assert control(planned, [LORA, alarm, said("verify", "PARTIAL", cause="x")]) == Control(
        case=case.name,
        seed=case.seed,
        num_checks=3,
        alarms=(
            "merged of merged: FAIL delta_missing experts.up, expected PASS",
            "verify of verify: PARTIAL x, expected CONTAINS",
        ),
    )


def test_what_was_hit_is_told_with_what_it_is(planned: Planned) -> None:
    """Tensors by their names, and a word before whatever is no tensor."""
    hit = Hit(tensors=(TENSOR,), keys=("one.lora_A",), field="rope_theta", file="merged/config.json")
    told = (TENSOR, "key one.lora_A", "field rope_theta", "file merged/config.json")
    assert told == judged(planned, WRITE, hit=hit).hit
    assert judged(planned, WRITE, hit=Hit()).hit == judged(planned, WRITE, hit=None).hit == ()


MISSED = {
    "one check passes": (WRITE, LORA, said("merged", "PASS")),
    "one check was not run": (WRITE, LORA),
    "a crash": (WRITE, LORA, said("merged", "ERROR")),
    "nothing was said": (),
}


@pytest.mark.parametrize("name", MISSED)
def test_a_fault_that_one_check_misses_is_not_caught(name: str, planned: Planned) -> None:
    """One case in which it is missed is enough for the row."""
    case = judged(planned, *MISSED[name])
    assert (False, False) == (case.is_caught, case.is_named)
    good = judged(planned, WRITE, LORA, MERGED)
    row = fault_result("good", "merging", FAULT, [good, case])
    assert (False, False) == (row.is_caught, row.culprit_named)
    assert "merged" not in row.caught_by


def test_a_fault_without_a_case_is_not_caught() -> None:
    """Nothing was shown."""
    row = fault_result("good", "merging", FAULT, [])
    assert (False, False, ()) == (row.is_caught, row.culprit_named, row.caught_by)


def test_caught_without_the_culprit_is_not_named(planned: Planned) -> None:
    """Another tensor was found, or what was hit is not known."""
    other = replace(FOUND, where=Location(tensor="model.norm.weight"))
    case = judged(planned, WRITE, LORA, said("merged", "FAIL", other))
    assert (True, False) == (case.is_caught, case.is_named)
    assert (True, False) == (
        judged(planned, WRITE, MERGED, hit=None).is_caught,
        judged(planned, WRITE, MERGED, hit=None).is_named,
    )


def test_a_bug_that_crashed_is_caught_by_its_crash(planned: Planned) -> None:
    """If it is declared to: and named by what the crash is called."""
    fault = replace(FAULT, names={"merged": "crashed"}, crashes=True)
    crash = said("merged", "ERROR", Finding(kind="crashed", message="load_merged raised KeyError"))
    assert judged(planned, crash, fault=fault, hit=Hit()).is_named
    assert not judged(planned, crash, fault=replace(fault, crashes=False), hit=Hit()).is_caught


def test_a_training_that_could_not_show_it_is_told_and_no_pass(planned: Planned) -> None:
    """INCONCLUSIVE is not quiet: a fault that takes the signal away is caught by that."""
    fault = replace(FAULT, names={"write": "no_signal"})
    weak = said("write", "INCONCLUSIVE", Finding(kind="no_signal", message="0 nats"))
    assert judged(planned, weak, fault=fault, hit=Hit()).is_named


@pytest.mark.parametrize("verdict", ["FAIL", "ERROR", "INCONCLUSIVE", "WRONG_VALUES", "REFUSED"])
def test_anything_but_quiet_is_an_alarm_in_a_clean_run(verdict: str, planned: Planned) -> None:
    """And so is a clean run of which nothing was said."""
    assert control(planned, [LORA, said("verify", "CONTAINS")]).alarms == ()
    assert len(control(planned, [LORA, said("merged", verdict)]).alarms) == 1
    assert control(planned, []).alarms == ("nothing was checked",)


def test_a_weak_training_that_passes_claims_what_it_cannot_see(planned: Planned) -> None:
    """Where it is weak on purpose, INCONCLUSIVE is what is right; `verify` reads weights, and is never weak."""
    weak = replace(planned, clean="INCONCLUSIVE")
    right = [said("write", "INCONCLUSIVE"), said("merged", "INCONCLUSIVE"), said("verify", "CONTAINS")]
    assert control(weak, right).alarms == ()
    assert len(control(weak, [*right, said("lora", "PASS")]).alarms) == 1
    assert len(control(weak, [*right, said("lora", "FAIL")]).alarms) == 1
    fault = replace(FAULT, clean="INCONCLUSIVE")
    assert not judged(planned, WRITE, said("merged", "INCONCLUSIVE"), fault=fault).is_caught
    assert judged(planned, WRITE, MERGED, fault=fault).is_named
