"""From answers to verdicts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from harness.canaries.judging import Asked, agree, count, drawn_in, exit_code, judge, known_in, overall
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
        ({"returns": {"top_k": "$E"}}, returning({"top_k": 2}), State.HELD),
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
        ([[6, 8], [12, 16], [18, 24]], State.HELD),
        ([["6", "8"], ["12", "16"], ["18", "24"]], State.BROKEN),
        ([[6.0, 8.0], [12.0, 16.0], [18.0, float("inf")]], State.BROKEN),
        ([[6.0, 8.0], [12.0, 16.0], [18.0, None]], State.BROKEN),
    ],
)
def test_an_array_must_be_what_is_computed(got: Any, state: State) -> None:
    """Here, and not where the guard is executed."""
    assert state is judged(call(equals=EQUALS), returning(got))


@pytest.mark.parametrize(("got", "state"), [(0.0, State.HELD), (0, State.HELD), (1e-9, State.BROKEN)])
def test_of_nothing_comes_nothing(got: float, state: State) -> None:
    """What is far is measured by what is right, however small that is."""
    asked = [Asked(call=call(equals=EQUALS), given={**GIVEN, "A": [[0.0], [0.0]], "B": [[0.0, 0.0]]})]
    assert state is judge(asked, Outcome(how="answered", value={"results": [returning([[got]])]}))[0]


def test_nothing_is_an_array_too() -> None:
    """Of no columns."""
    asked = [Asked(call=call(equals=EQUALS), given={**GIVEN, "A": [[], []], "B": [[0.0, 0.0]]})]
    assert State.HELD is judge(asked, Outcome(how="answered", value={"results": [returning([[]])]}))[0]


@pytest.mark.parametrize(("off", "state"), [(0.24, State.HELD), (0.25, State.HELD), (0.26, State.BROKEN)])
def test_how_far_is_near(off: float, state: State) -> None:
    """A part of the largest number: smaller ones may be as far."""
    near = Equals(what="delta", of=EQUALS.of, within=0.25)
    got = [[6.0 + 24 * off, 8.0], *RIGHT[1:]]
    assert state is judged(call(equals=near), returning(got))


LONG = "x" * 200


@pytest.mark.parametrize(
    ("what", "result", "expected", "got"),
    [
        ({"raises": "KeyError"}, returning(3), "KeyError is raised", "3"),
        ({"raises": "KeyError"}, raising("ValueError"), "KeyError is raised", "ValueError: no"),
        ({"returns": 3}, raising("ValueError", "Exception"), "an answer", "ValueError: no"),
        ({"returns": 3}, raising(), "an answer", "BaseException: no"),
        ({"returns": "$E"}, returning([1]), "2", "[1]"),
        ({"returns": ["$E", "a"]}, returning("two  words"), "[2, 'a']", "two words"),
        ({"returns": 3}, returning(LONG), "3", f"{LONG[:159]}…"),
        ({"returns": 3}, returning(LONG[:160]), "3", LONG[:160]),
        ({"returns": 3}, returning(LONG[:159]), "3", LONG[:159]),
        ({"equals": EQUALS}, returning("held"), "an array (3, 2)", "held"),
        ({"equals": EQUALS}, returning([[1.0], [1.0, 2.0]]), "an array (3, 2)", "[[1.0], [1.0, 2.0]]"),
        ({"equals": EQUALS}, returning([1.0]), "an array (3, 2)", "(1,)"),
        (
            {"equals": EQUALS},
            returning([[6.0, 8.0], [12.0, 17.0], [18.0, 0.0]]),
            "delta of A, B, E, expert",
            "2 of 6 numbers are others, first at [1, 1]: 16 expected, 17 got",
        ),
    ],
)
def test_what_is_told_of_a_wrong_call(what: dict[str, Any], result: Any, expected: str, got: str) -> None:
    """Its name and text, what must come, what came, and what was given but for arrays."""
    answered = Outcome(how="answered", value={"results": [result]})
    state, why, told = judge([Asked(call=call(**what), given=GIVEN)], answered)
    given = "E = 2, other = 7, expert = 1"
    wrong = Wrong(call="a call: guard()", expected=expected, got=got, given=given)
    assert (State.BROKEN, "1 of 1 calls went otherwise than they must", (wrong,)) == (state, why, told)


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
        pytest.param({"results": ["raises"]}, id="a result is a text"),
        pytest.param({"results": ["returns", returning(1)]}, id="one is right"),
        pytest.param({"results": ["returns", returning(None)]}, id="one is none"),
    ],
)
@pytest.mark.parametrize("returns", [1, None])
def test_what_the_process_apart_did_not_say_is_broken(value: Any, returns: Any) -> None:
    """Upstream's code can write to where answers are read; nothing of it ends the report."""
    asked = [Asked(call=call(returns=returns), given=GIVEN)]
    told = judge(asked, Outcome(how="answered", value=value), ("torch",))
    assert (State.BROKEN, "what it answered is not what was asked", ()) == told


def test_what_failed_unspeakably_did_not_say_so() -> None:
    """Nor if nothing was asked."""
    assert State.BROKEN is judge([], Outcome(how="answered", value={"failed": "held"}))[0]


def test_what_ended_is_told_by_what_it_said_last() -> None:
    """If nobody knows more."""
    asked = [Asked(call=call(returns=1), given=GIVEN)]
    assert "its execution ended without an answer: so" == judge(asked, Outcome(how="ended", said="so"))[1]
    assert "its execution ended without an answer: as" == judge(asked, Outcome(how="ended", why="as", said="so"))[1]


def test_three_of_what_is_missing_are_named() -> None:
    """In the order of the alphabet."""
    names = ["torch.d", "torch.c", "torch.b", "torch.a"]
    answered = Outcome(how="answered", value={"results": [returning(2, stand_ins=names)]})
    _, why, _ = judge([Asked(call=call(returns=1), given=GIVEN)], answered, ("torch",))
    assert "it needs torch.a, torch.b, torch.c, which is not there" == why


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


def test_what_may_be_drawn_anew_is_not_asked() -> None:
    """The names of what is drawn, wherever they stand in what must come."""
    assert ["E", "H", "r"] == list(drawn_in({"a": ["$E", ("$H", "I", 3)], "b": {"c": "$r"}}))


ANSWERS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"returns": 1}, {"returns": 1}, True),
    ({"returns": 1}, {"returns": 2}, False),
    ({"returns": 1}, {"returns": True}, False),
    ({"returns": "$E"}, {"returns": 2}, True),
    ({"returns": 2}, {"returns": "$E"}, True),
    ({"returns": "$E"}, {"returns": "$other"}, False),
    ({"returns": "_"}, {"returns": 2}, True),
    ({"returns": 2}, {"returns": "_"}, True),
    ({"returns": ["_", 1]}, {"returns": [2, "_"]}, True),
    ({"returns": ["_", 1]}, {"returns": [2, 3]}, False),
    ({"returns": [1, "_"]}, {"returns": [3, 2]}, False),
    ({"returns": [1, 2]}, {"returns": [1]}, False),
    ({"returns": [1]}, {"returns": [1, 2]}, False),
    ({"returns": [1]}, {"returns": 1}, False),
    ({"returns": {"a": 1}}, {"returns": {"b": 2}}, True),
    ({"returns": {"a": 1, "c": 3}}, {"returns": {"b": 2, "c": 3}}, True),
    ({"returns": {"a": 1, "c": 3}}, {"returns": {"b": 2, "c": 4}}, False),
    ({"returns": {"a": 1}}, {"returns": 1}, False),
    ({"raises": "KeyError"}, {"raises": "ValueError | KeyError"}, True),
    ({"raises": "KeyError"}, {"raises": "ValueError"}, False),
    ({"raises": "KeyError"}, {"returns": 1}, False),
    ({"raises": "KeyError"}, {"returns": None}, False),
    ({"returns": 1}, {"raises": "KeyError"}, False),
]


@pytest.mark.parametrize(("one", "other", "expected"), ANSWERS)
def test_one_answer_may_fit_two_calls(one: dict[str, Any], other: dict[str, Any], expected: bool) -> None:
    """Who always gives it passes both."""
    assert expected is agree(call(**one), call(**other), GIVEN)


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


@pytest.mark.parametrize(
    ("state", "version", "today", "declared", "note"),
    [
        (State.HELD, "2", TODAY, "mended", "mended: declared as broken in <=2 (never mended)"),
        (State.MOVED, "2", TODAY, "mended", "mended: declared as broken in <=2 (never mended)"),
        (State.BROKEN, "2", date(2026, 12, 31), "known", "known: never mended (https://example.org/2)"),
        (State.BROKEN, "2", date(2027, 1, 1), "expired",
         "declared as known, which expired on 2026-12-31: never mended"),
        (State.ABSENT, "2", TODAY, "", "declared as known: never mended; that it is gone is not"),
        (State.CANNOT_TELL, "2", TODAY, "", ""),
        (State.BROKEN, "1.9.dev0", TODAY, "known", "known: never mended (https://example.org/2)"),
        (State.BROKEN, "0.9", TODAY, "", "not expected before >=1"),
        (State.BROKEN, "2.1rc1", TODAY, "", ""),
    ],
)  # fmt: skip
def test_what_is_told_of_a_declaration(state: State, version: str, today: date, declared: str, note: str) -> None:
    """Word for word; of several, the one that is of this release."""
    other = replace(KNOWN, releases=">=3", reason="another")
    wrong = asked_and_wrong("deep") if state is State.BROKEN else ()
    uncounted = replace(verdict(state), wrong=wrong, counts=False)
    counted = count(rule(expected=">=1", known=(other, KNOWN)), uncounted, version, today)
    expected = replace(
        uncounted, counts="not expected" not in note and declared != "known", declared=declared, note=note
    )
    assert expected == counted


def test_all_that_is_mended_is_told() -> None:
    """Of two declarations, both."""
    known = (KNOWN, replace(KNOWN, reason="the other"))
    counted = count(rule(known=known), verdict(State.HELD), "2", TODAY)
    expected = "mended: declared as broken in <=2 (never mended); mended: declared as broken in <=2 (the other)"
    assert expected == counted.note


@pytest.mark.parametrize(("version", "known"), [("2", 1), ("3", 0), ("2.0.dev1", 1), ("folder", 0)])
def test_what_is_known_of_a_release(version: str, known: int) -> None:
    """By its version as it is."""
    assert known == len(list(known_in(rule(known=(KNOWN,)), version)))


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
        ((), True, "declared as known: never mended; that nothing was answered is not"),
    ],
)
def test_what_is_declared_are_calls(wrong: tuple[str, ...], counts: bool, note: str) -> None:
    """Whatever else goes wrong is another break."""
    counted = count(rule(known=(KNOWN,)), replace(verdict(State.BROKEN), wrong=asked_and_wrong(*wrong)), "2", TODAY)
    assert (counts, "" if counts else "known") == (counted.counts, counted.declared)
    assert counted.note.startswith(note) if wrong == () else note in counted.note


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
