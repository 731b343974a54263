"""What counts as caught: every check that must, by itself, and not by a crash."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.faults.checking import Said
from harness.faults.killing import control, fault_result, struck_case
from harness.faults.planning import Planned, plan_faults
from harness.records.faults import Fault, StruckCase
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
