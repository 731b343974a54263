"""What is made of a verdict."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from harness.judging.dispositions import dispose
from harness.records.cases import KnownOutcome
from harness.records.results import Judgement, VerdictName

KNOWN = KnownOutcome(
    name="a break",
    reason="a test",
    link="",
    expires="2026-12-31",
    verdict="FAIL",
    cause="delta_missing experts.down",
    cases=("case",),
    writers=("r1",),
)
BEFORE, LAST_DAY, AFTER = date(2026, 12, 1), date(2026, 12, 31), date(2027, 1, 1)


def judgement(verdict: VerdictName, cause: str = "") -> Judgement:
    """A verdict and a cause."""
    return Judgement(verdict=verdict, cause=cause, checks=(), findings=())


BROKEN = judgement("FAIL", KNOWN.cause)


@pytest.mark.parametrize(
    ("found", "known", "today", "expected"),
    [
        pytest.param(judgement("PASS"), None, BEFORE, "none", id="pass"),
        pytest.param(judgement("SKIPPED"), None, BEFORE, "none", id="skipped"),
        pytest.param(BROKEN, None, BEFORE, "new", id="fail"),
        pytest.param(judgement("ERROR"), None, BEFORE, "new", id="error"),
        pytest.param(judgement("INCONCLUSIVE"), None, BEFORE, "new", id="inconclusive"),
        pytest.param(BROKEN, KNOWN, BEFORE, "known", id="as declared"),
        pytest.param(BROKEN, KNOWN, LAST_DAY, "known", id="on the last day"),
        pytest.param(BROKEN, KNOWN, AFTER, "expired", id="past the date"),
        pytest.param(judgement("PASS"), KNOWN, BEFORE, "fixed", id="declared and passes"),
        pytest.param(judgement("PASS"), KNOWN, AFTER, "fixed", id="fixed goes before expired"),
        pytest.param(judgement("FAIL", "delta_missing attention"), KNOWN, BEFORE, "new", id="another cause"),
        pytest.param(judgement("FAIL", KNOWN.cause + "; x"), KNOWN, BEFORE, "new", id="a cause more"),
        pytest.param(judgement("FAIL", "delta_missing experts"), KNOWN, BEFORE, "new", id="the cause's beginning"),
        pytest.param(judgement("ERROR", KNOWN.cause), KNOWN, BEFORE, "new", id="another verdict"),
        pytest.param(judgement("FAIL", "another"), KNOWN, AFTER, "new", id="another cause, past the date"),
        pytest.param(judgement("INCONCLUSIVE", KNOWN.cause), KNOWN, BEFORE, "new", id="could not be told"),
        pytest.param(judgement("SKIPPED"), KNOWN, BEFORE, "new", id="declared and skipped"),
    ],
)  # fmt: skip
def test_dispositions(found: Judgement, known: KnownOutcome | None, today: date, expected: str) -> None:
    """Known takes the declared verdict, the very cause and a date that has not passed; anything else counts."""
    assert expected == dispose(found, known, today)


def test_an_error_can_be_declared_too() -> None:
    """A crash of a cause that is declared is known; the same crash declared as a failure is not."""
    crash = judgement("ERROR", "crashed train ValueError no")
    declared = replace(KNOWN, verdict="ERROR", cause=crash.cause)
    assert "known" == dispose(crash, declared, BEFORE)
    assert "new" == dispose(crash, replace(declared, verdict="FAIL"), BEFORE)
