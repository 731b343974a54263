"""From answers to verdicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from harness.canaries.judging import Asked, count, exit_code, judge, overall
from harness.errors import ExitCode
from harness.records.canaries import Call, Equals, KnownBroken, ReleaseReport, State, Verdict, Wrong
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


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


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
        ({"raises": "RuntimeError"}, raising("RecursionError", "RuntimeError", "Exception"), State.BROKEN),
        ({"raises": "RuntimeError"}, raising("NotImplementedError", "RuntimeError", "Exception"), State.BROKEN),
        ({"raises": "RuntimeError"}, raising("Ours", "RecursionError", "RuntimeError", "Exception"), State.BROKEN),
        ({"raises": "ImportError"}, raising("ModuleNotFoundError", "ImportError", "Exception"), State.BROKEN),
        ({"raises": "Exception"}, raising("KeyError", "LookupError", "Exception"), State.BROKEN),
        ({"raises": "OurError"}, raising("Finer", "OurError", "RuntimeError", "Exception"), State.HELD),
        ({"raises": "KeyError | ValueError"}, raising("ValueError", "Exception"), State.HELD),
        ({"raises": "KeyError | ValueError"}, raising("LookupError", "Exception"), State.BROKEN),
        ({"raises": "RuntimeError"}, returning("RuntimeError"), State.BROKEN),
        ({"returns": "$E"}, "2", State.BROKEN),
        ({"returns": "$E"}, {}, State.BROKEN),
        ({"returns": None}, returning(None), State.HELD),
        ({"returns": None}, returning(False), State.BROKEN),
        ({"returns": 1}, returning(nested(900)), State.BROKEN),
        ({"returns": 1}, raising(), State.BROKEN),
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
        (Outcome(how="answered", value={"failed": {"kinds": [], "message": "x"}}), State.CANNOT_TELL, "BaseException"),
        (Outcome(how="answered", value={"failed": "held"}), State.BROKEN, "not what was asked"),
    ],
)  # fmt: skip
def test_what_is_no_answer_never_holds(outcome: Outcome, state: State, words: str) -> None:
    """Whatever it says."""
    got, why, _ = judge([Asked(call=call(returns=1), given=GIVEN)], outcome)
    assert state is got
    assert words in why


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"failed": {"kinds": 5, "message": ""}}, id="kinds are a number"),
        pytest.param({"failed": {"kinds": {"a": 1}, "message": ""}}, id="kinds are a table"),
        pytest.param({"failed": {"kinds": [["E"]], "message": ""}}, id="a kind is a list"),
        pytest.param({"failed": {"kinds": ["E"], "message": 5}}, id="a message is a number"),
        pytest.param({"results": [{"raises": {"kinds": 5, "message": ""}, "stand_ins": []}]}, id="raised number"),
        pytest.param({"results": [{"raises": {"kinds": {}, "message": ""}, "stand_ins": []}]}, id="raised table"),
        pytest.param({"results": [{"raises": "E", "stand_ins": []}]}, id="raised text"),
        pytest.param({"results": [{"returns": 2, "stand_ins": 5}]}, id="stand-ins are a number"),
        pytest.param({"results": [{"returns": 2, "stand_ins": [{}]}]}, id="a stand-in is a table"),
        pytest.param({"results": [{"returns": 1}]}, id="no stand-ins are told"),
        pytest.param({"results": [{"returns": 1, "raises": None, "stand_ins": []}]}, id="both"),
        pytest.param({"results": {"returns": 1}}, id="results are a table"),
    ],
)
def test_what_the_process_apart_did_not_say_is_broken(value: Any) -> None:
    """Upstream's code can write to where answers are read; nothing of it ends the report."""
    asked = [Asked(call=call(returns=1), given=GIVEN)]
    assert State.BROKEN is judge(asked, Outcome(how="answered", value=value), ("torch",))[0]


def test_what_is_kept_of_an_answer_is_short() -> None:
    """However long names and messages are."""
    long = "K" * 10**6
    raised = {"kinds": [long] * 10**3, "message": long}
    for value in (
        {"failed": raised},
        {"failed": {"kinds": [long, "Absent"], "message": long}},
        {"results": [{"raises": raised, "stand_ins": [f"torch.{long}"] * 10**3}]},
        {"results": [{"returns": long, "stand_ins": [f"torch.{long}{number}" for number in range(10**3)]}]},
    ):
        asked = [Asked(call=call(returns=1), given=GIVEN)]
        assert len(repr(judge(asked, Outcome(how="answered", value=value), ("torch",)))) < 2000


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ([returning(2, stand_ins=["torch.ones"])], State.CANNOT_TELL),
        ([returning(2, stand_ins=["torch"])], State.CANNOT_TELL),
        ([returning(1, stand_ins=["torch.ones"])], State.HELD),
        ([returning(2, stand_ins=["torch.ones"]), returning(2)], State.BROKEN),
        ([returning(1, stand_ins=["torch.ones"]), returning(2)], State.BROKEN),
        ([returning(2, stand_ins=["torch.ones"]), returning(2, stand_ins=["torch.nn.x"])], State.CANNOT_TELL),
        ([returning(2, stand_ins=["torchvision.ones"])], State.BROKEN),
        ([returning(2, stand_ins=["json"])], State.BROKEN),
    ],
)
def test_a_stand_in_excuses_the_call_that_made_use_of_it(results: list[Any], state: State) -> None:
    """If it is wrong, for a right answer is right; and if what was made use of is not to be had."""
    asked = [Asked(call=call(returns=1), given=GIVEN) for _ in results]
    got, why, _ = judge(asked, Outcome(how="answered", value={"results": results}), ("torch",))
    assert state is got
    assert ("it needs torch" in why) is (state is State.CANNOT_TELL)


def verdict(state: State) -> Verdict:
    """Of a guard."""
    return Verdict(rule="count", state=state, counts=True, why="", looked_at=())


KNOWN = KnownBroken(
    releases="<=2", calls=("deep",), reason="never mended", thread="https://example.org/2", expires="2026-12-31"
)


@pytest.mark.parametrize(
    ("state", "version", "today", "counts", "note"),
    [
        (State.BROKEN, "3", TODAY, True, ""),
        (State.BROKEN, "2", TODAY, False, "known: never mended"),
        (State.ABSENT, "2", TODAY, True, "never mended; that it is gone is not"),
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
    wrong = asked_and_wrong("deep") if state is State.BROKEN else ()
    counted = count(declared, replace(verdict(state), wrong=wrong), version, today)
    assert counts is counted.counts
    assert note in counted.note


def asked_and_wrong(*names: str) -> tuple[Wrong, ...]:
    """Calls of the rule that went wrong."""
    asked = [Asked(call=each, given={"E": 5, "other": 7}) for each in rule().calls if each.name in names]
    answered = {"results": [returning("wrong") for _ in asked]}
    return judge(asked, Outcome(how="answered", value=answered))[2]


@pytest.mark.parametrize(
    ("wrong", "counts", "note"),
    [
        (("deep",), False, "known: never mended"),
        (("deep", "nowhere"), True, "that other calls go wrong is not, such as nowhere: count("),
        (("nowhere",), True, "that other calls go wrong is not"),
        ((), True, "that nothing was answered is not"),
    ],
)
def test_what_is_declared_are_calls(wrong: tuple[str, ...], counts: bool, note: str) -> None:
    """Whatever else goes wrong is another break."""
    counted = count(rule(known=(KNOWN,)), replace(verdict(State.BROKEN), wrong=asked_and_wrong(*wrong)), "2", TODAY)
    assert (counts, "" if counts else "known") == (counted.counts, counted.declared)
    assert note in counted.note


@pytest.mark.parametrize(
    ("version", "is_installed", "counts"),
    [
        ("0", True, True),
        ("0.0.0", True, True),
        ("0.0.0", False, True),
        ("1.9.dev0", True, True),
        ("1.9+g3f2a", True, True),
        ("1.9.dev0", False, False),
        ("1.9", True, False),
        ("1.9rc1", True, False),
        ("2.0", True, True),
    ],
)
def test_what_is_built_of_a_checkout_is_newer_than_all(version: str, is_installed: bool, counts: bool) -> None:
    """Its version does not say what is in it: neither that a guard need not be there yet, nor that it is declared."""
    broken = verdict(State.BROKEN)
    assert counts is count(rule(expected=">=2"), broken, version, TODAY, is_installed=is_installed).counts
    past = rule(known=(replace(KNOWN, releases="<2"),))
    wrong = replace(broken, wrong=asked_and_wrong("deep"))
    assert counts is count(past, wrong, version, TODAY, is_installed=is_installed).counts


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
    assert ExitCode.INCONCLUSIVE is exit_code(uncounted), "no guard is expected: nothing is known"
    declared = [replace(each, declared="known") for each in uncounted]
    assert (ExitCode.OK if states else ExitCode.INCONCLUSIVE) is exit_code(declared)


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
