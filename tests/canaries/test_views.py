"""What is declared of a guard, from the judgement to what a reader and a service that keeps alerts are told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from harness.canaries.judging import count
from harness.records.canaries import Call, Example, KnownBroken, Rule, State
from reports.canaries import sarif, view
from tests.reports.canaries.builders import release, report, verdict

TODAY = date(2026, 11, 21)
DECLARED = KnownBroken(
    releases=">=2026.9",
    calls=("a call",),
    reason="uploads first",
    thread="https://example.org/thread",
    expires="2027-01-01",
)
RULE = Rule(
    name="guard",
    why="why",
    thread="https://example.org/thread",
    expected=">=2026.5.2",
    where="unsloth_zoo/saving_utils.py",
    symbols={"guard": "guard"},
    calls=(Call(name="one", call="guard(1)", returns=1),),
    bad=(Example(name="bad", source="def guard(n): return 0"),),
    known=(DECLARED,),
)
PAST = replace(DECLARED, expires="2026-11-20")


@pytest.mark.parametrize(
    ("state", "version", "known", "declared", "counts", "tone"),
    [
        pytest.param(State.BROKEN, "2026.10.9", DECLARED, "known", False, "known", id="as declared"),
        pytest.param(State.ABSENT, "2026.10.9", DECLARED, "known", False, "known", id="gone"),
        pytest.param(State.HELD, "2026.10.9", DECLARED, "mended", True, "passed", id="mended"),
        pytest.param(State.BROKEN, "2026.10.9", PAST, "expired", True, "failed", id="expired"),
        pytest.param(State.CANNOT_TELL, "2026.10.9", DECLARED, "", True, "inconclusive", id="nobody can tell"),
        pytest.param(State.BROKEN, "2026.8.1", DECLARED, "", True, "failed", id="in an older release"),
        pytest.param(State.BROKEN, "2026.5.1", DECLARED, "", False, "skipped", id="not expected yet"),
    ],
)
def test_a_declaration_is_told_as_it_stands(
    state: State, version: str, known: KnownBroken, declared: str, counts: bool, tone: str
) -> None:
    """Only what is as declared is not counted; only that is suppressed among the alerts."""
    said = count(replace(RULE, known=(known,)), verdict("guard", state), version, TODAY)
    assert (declared, counts, tone) == (said.declared, said.counts, view.tone_of(said))
    results = json.loads(sarif.render(report(release(said, version=version))))["runs"][0]["results"]
    is_result = state is not State.HELD and tone != "skipped"
    assert [declared == "known"] * is_result == ["suppressions" in result for result in results]
    assert all(known.reason in said.note for _ in [declared] if declared)
