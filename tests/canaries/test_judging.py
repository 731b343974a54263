"""From answers to verdicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from harness.canaries.judging import Asked, count, exit_code, judge, overall
from harness.errors import ExitCode
from harness.records.canaries import Call, Equals, KnownBroken, ReleaseReport, State, Verdict
from harness.sandbox.client import Outcome
from tests.canaries.making import rule

TODAY = date(2026, 11, 1)
A, B = [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
GIVEN = {"E": 2, "other": 7, "A": A, "B": B, "expert": 1}
RIGHT = [[6.0, 8.0], [12.0, 16.0], [18.0, 24.0]]
"""B[:, 1::2] @ A[1:2]."""


def judged(call: Call, result: Any) -> State:
    """What is said of one call's answer."""
    return judge([Asked(call=call, given=GIVEN)], Outcome(how="answered", value={"results": [result]}))[0]


def returning(value: Any, **more: Any) -> dict[str, Any]:
    """An answer."""
    return {"returns": value, "stand_ins": [], **more}


def raising(*kinds: str) -> dict[str, Any]:
    """An exception."""
    return {"raises": {"kinds": list(kinds), "message": "no"}, "stand_ins": []}


def call(**what: Any) -> Call:
    """A call of which `what` must come."""
    return Call(name="a call", call="guard()", **what)


@pytest.mark.parametrize(
    ("what", "result", "state"),
    [
        ({"returns": "$E"}, returning(2), State.HELD),
        ({"returns": "$E"}, returning(3), State.BROKEN),
        ({"returns": "$E"}, returning(2.0), State.BROKEN),
        ({"returns": "$E"}, returning("2"), State.BROKEN),
        ({"returns": True}, returning(1), State.BROKEN),
        ({"returns": ["standard", "_"]}, returning(["standard", 9]), State.HELD),
        ({"returns": ["standard", "_"]}, returning(["standard"]), State.BROKEN),
        ({"returns": ["standard", "_"]}, returning(["swapped", 9]), State.BROKEN),
        ({"returns": {"top_k": "$E"}}, returning({"top_k": 2, "more": 1}), State.HELD),
        ({"returns": {"top_k": "$E"}}, returning({"more": 1}), State.BROKEN),
        ({"returns": "$E"}, raising("ValueError"), State.BROKEN),
        ({"raises": "RuntimeError"}, raising("OurError", "RuntimeError", "Exception"), State.HELD),
        ({"raises": "RuntimeError"}, raising("KeyError", "Exception"), State.BROKEN),
        ({"raises": "RuntimeError"}, returning("RuntimeError"), State.BROKEN),
        ({"returns": "$E"}, "2", State.BROKEN),
        ({"returns": "$E"}, {}, State.BROKEN),
        ({"returns": None}, returning(None), State.HELD),
        ({"returns": None}, returning(False), State.BROKEN),
    ],
)
def test_an_answer_must_fit(what: dict[str, Any], result: Any, state: State) -> None:
    """In type and value; an exception by its class."""
    assert state is judged(call(**what), result)


EQUALS = Equals(what="delta", of=("A", "B", "E", "expert"))


@pytest.mark.parametrize(
    ("got", "state"),
    [
        (RIGHT, State.HELD),
        ((np.asarray(RIGHT) * (1 + 1e-7)).tolist(), State.HELD),
        ((np.asarray(RIGHT) * 1.05).tolist(), State.BROKEN),
        ((np.asarray(RIGHT) * 0).tolist(), State.BROKEN),
        (np.asarray(RIGHT).T.tolist(), State.BROKEN),
        ([[6.0, 8.0], [12.0, 16.0], [18.0, float("nan")]], State.BROKEN),
        ([[6.0, 8.0], [12.0]], State.BROKEN),
        ("held", State.BROKEN),
        (None, State.BROKEN),
        ([], State.BROKEN),
        ([[10**400]], State.BROKEN),
    ],
)
def test_an_array_must_be_what_is_computed(got: Any, state: State) -> None:
    """Here, and not where the guard is executed."""
    assert state is judged(call(equals=EQUALS), returning(got))


def test_a_wrong_array_is_told_by_its_first_number() -> None:
    """With what was given."""
    wrong = [[6.0, 8.0], [12.0, 17.0], [18.0, 24.0]]
    answered = Outcome(how="answered", value={"results": [returning(wrong)]})
    state, why, [told] = judge([Asked(call=call(equals=EQUALS), given=GIVEN)], answered)
    assert State.BROKEN is state
    assert "1 of 1 calls" in why
    assert "1 of 6 numbers are others, first at [1, 1]: 16 expected, 17 got" == told.got
    assert "E = 2, other = 7, expert = 1" == told.given


@pytest.mark.parametrize(
    ("outcome", "state", "words"),
    [
        (Outcome(how="impossible", why="no namespaces"), State.CANNOT_TELL, "not executed: no namespaces"),
        (Outcome(how="timeout"), State.BROKEN, "did not end in time"),
        (Outcome(how="ended", why="ended by itself, with status 0"), State.BROKEN, "ended without an answer"),
        (Outcome(how="too_much"), State.BROKEN, "answered too much"),
        (Outcome(how="unreadable", why="no JSON"), State.BROKEN, "no answer that can be read"),
        (Outcome(how="answered", value="held"), State.BROKEN, "not what was asked"),
        (Outcome(how="answered", value={"results": []}), State.BROKEN, "not what was asked"),
        (Outcome(how="answered", value={"results": ["held", "held"]}), State.BROKEN, "not what was asked"),
        (Outcome(how="answered", value={"failed": {"kinds": ["Absent"], "message": "none"}}), State.ABSENT, "none"),
        (Outcome(how="answered", value={"failed": {"kinds": ["E"], "message": "x"}}), State.CANNOT_TELL, "loaded"),
        (Outcome(how="answered", value={"failed": "held"}), State.CANNOT_TELL, "loaded"),
    ],
)  # fmt: skip
def test_what_is_no_answer_never_holds(outcome: Outcome, state: State, words: str) -> None:
    """Whatever it says."""
    got, why, _ = judge([Asked(call=call(returns=1), given=GIVEN)], outcome)
    assert state is got
    assert words in why


def test_what_needs_a_stand_in_cannot_be_told() -> None:
    """If it is wrong: a right answer is right."""
    assert State.CANNOT_TELL is judged(call(returns=1), returning(2, stand_ins=["torch.ones"]))
    assert State.HELD is judged(call(returns=2), returning(2, stand_ins=["torch.ones"]))


def verdict(state: State) -> Verdict:
    """Of a guard."""
    return Verdict(rule="count", state=state, counts=True, why="", looked_at=())


KNOWN = KnownBroken(
    releases="<=2", calls=("a call",), reason="never mended", thread="https://example.org/2", expires="2026-12-31"
)


@pytest.mark.parametrize(
    ("state", "version", "today", "counts", "note"),
    [
        (State.BROKEN, "3", TODAY, True, ""),
        (State.BROKEN, "2", TODAY, False, "known: never mended"),
        (State.ABSENT, "2", TODAY, False, "known: never mended"),
        (State.CANNOT_TELL, "2", TODAY, True, ""),
        (State.HELD, "2", TODAY, True, "mended: declared as broken in <=2"),
        (State.BROKEN, "2", date(2027, 1, 1), True, "expired on 2026-12-31"),
        (State.BROKEN, "0.9", TODAY, False, "not expected"),
        (State.BROKEN, "g3f2a-dirty", TODAY, True, ""),
        (State.BROKEN, "folder", TODAY, True, ""),
    ],
)
def test_what_counts(state: State, version: str, today: date, counts: bool, note: str) -> None:
    """Not what is not expected yet, nor what is declared, as long as it is; what nobody can compare is the newest."""
    declared = rule(expected=">=1", known=(KNOWN,))
    counted = count(declared, verdict(state), version, today)
    assert counts is counted.counts
    assert note in counted.note


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.HELD, State.MOVED, State.CHANGED], ExitCode.OK),
        ([State.HELD, State.BROKEN], ExitCode.FAILED),
        ([State.HELD, State.ABSENT], ExitCode.FAILED),
        ([State.HELD, State.CANNOT_TELL], ExitCode.INCONCLUSIVE),
        ([State.CANNOT_TELL, State.BROKEN], ExitCode.FAILED),
        ([], ExitCode.INCONCLUSIVE),
    ],
)
def test_exit_codes(states: list[State], code: ExitCode) -> None:
    """The gravest that counts; nothing looked at is nothing held."""
    assert code is exit_code([verdict(state) for state in states])
    uncounted = [replace(verdict(state), counts=False) for state in states]
    assert (ExitCode.OK if states else ExitCode.INCONCLUSIVE) is exit_code(uncounted)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ({"a": [1, 3, 0]}, ExitCode.OK),
        ({"a": [0, 1]}, ExitCode.FAILED),
        ({"a": [1, 0], "b": [0, 3]}, ExitCode.INCONCLUSIVE),
        ({"a": [1], "b": [3], "c": [0]}, ExitCode.FAILED),
    ],
)
def test_of_a_timeline_the_last_release_counts(codes: dict[str, list[int]], code: ExitCode) -> None:
    """Of each package: nobody can mend what was released."""
    releases = [
        ReleaseReport(
            package=package,
            version=f"{number}",
            origin="",
            digest="",
            verdicts=(),
            exit_code=each,
            duration_s=0.0,
            rerun="",
        )
        for package, all_of_it in codes.items()
        for number, each in enumerate(all_of_it)
    ]
    assert code is overall(releases)
