"""From what a guard answered to a verdict. Pure: the one place that knows what is right and what counts."""

from __future__ import annotations

import builtins
import reprlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from harness.canaries.expected import compute
from harness.errors import ExitCode
from harness.records.canaries import (
    HOLDS,
    Call,
    Declared,
    Equals,
    KnownBroken,
    ReleaseReport,
    Rule,
    State,
    Verdict,
    Wrong,
)
from harness.sandbox.client import Outcome

ANY = "_"
MAX_SHOWN = 160
MAX_NAMES = 32
"""Classes of an exception, and stand-ins that a call made use of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call as it was sent, in the order of the answers, with what was given."""

    call: Call
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raised:
    """An exception: the names of its classes, its own first, but for those that all have; and its message."""

    kinds: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        return f"{next(iter(self.kinds), 'BaseException')}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What came of one call."""

    returns: Any
    raises: _Raised | None
    touched: tuple[str, ...]
    """The stand-ins that were made use of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What a process apart says: why nothing could be loaded, or what came of each call."""

    failed: _Raised | None = None
    results: tuple[_Result, ...] = ()


def judge(
    asked: Sequence[Asked], outcome: Outcome, stand_ins: Collection[str] = ()
) -> tuple[State, str, tuple[Wrong, ...]]:
    """Whether a guard does what it must: HELD, BROKEN, ABSENT or CANNOT_TELL, why, and the calls that went wrong.

    `stand_ins` are the packages that were not to be had: only a call that made use of one is excused by it.
    """
    if outcome.how == "impossible":
        return State.CANNOT_TELL, f"it was not executed: {one_line(outcome.why)}", ()
    if outcome.how != "answered":
        return State.BROKEN, f"its execution {_ENDS[outcome.how]}: {one_line(outcome.why or outcome.said)}", ()
    answer = _answer(outcome.value)
    if answer is None or (answer.failed is None and len(answer.results) != len(asked)):
        return State.BROKEN, "what it answered is not what was asked", ()
    if answer.failed is not None:
        return _failed(answer.failed)
    wrong = []
    needed: set[str] = set()
    is_excused = True
    for each, result in zip(asked, answer.results, strict=True):
        if (found := _wrong(each, result)) is not None:
            wrong.append(found)
            excuses = [name for name in result.touched if any(f"{name}.".startswith(f"{of}.") for of in stand_ins)]
            needed.update(excuses)
            is_excused = is_excused and bool(excuses)
    if wrong and is_excused:
        names = ", ".join(sorted(needed)[:3])
        return State.CANNOT_TELL, f"it needs {names}, which is not there", tuple(wrong)
    if wrong:
        return State.BROKEN, f"{len(wrong)} of {len(asked)} calls went otherwise than they must", tuple(wrong)
    return State.HELD, f"{len(asked)} calls went as they must", ()


_ENDS = {
    "ended": "ended without an answer",
    "timeout": "did not end in time",
    "too_much": "answered too much",
    "unreadable": "gave no answer that can be read",
}


def _answer(told: Any) -> _Answer | None:
    """What `inside.answer` made; None of anything else: who is executed there may have written it."""
    if not isinstance(told, dict):
        return None
    if "failed" in told:
        failed = _raised(told["failed"])
        return None if failed is None else _Answer(failed=failed)
    if not isinstance(told.get("results"), list):
        return None
    results = [_result(each) for each in told["results"]]
    known = tuple(each for each in results if each is not None)
    return _Answer(results=known) if len(known) == len(results) else None


def _result(told: Any) -> _Result | None:
    if not isinstance(told, dict) or ("raises" in told) == ("returns" in told):
        return None
    touched = _names(told.get("stand_ins"))
    raises = _raised(told["raises"]) if "raises" in told else None
    if touched is None or ("raises" in told and raises is None):
        return None
    return _Result(returns=told.get("returns"), raises=raises, touched=touched)


def _raised(told: Any) -> _Raised | None:
    if not isinstance(told, dict) or not isinstance(told.get("message"), str):
        return None
    kinds = _names(told.get("kinds"))
    return None if kinds is None else _Raised(kinds=kinds, message=one_line(told["message"]))


def _names(told: Any) -> tuple[str, ...] | None:
    """Names, as many and as long as names are."""
    if not isinstance(told, list) or not all(isinstance(each, str) for each in told):
        return None
    return tuple(one_line(each) for each in told[:MAX_NAMES])


def _failed(failed: _Raised) -> tuple[State, str, tuple[Wrong, ...]]:
    if "Absent" in failed.kinds:
        return State.ABSENT, failed.message, ()
    return State.CANNOT_TELL, f"it could not be loaded: {failed}", ()


def _wrong(asked: Asked, result: _Result) -> Wrong | None:
    """None if it is right."""
    call = asked.call
    if call.raises:
        if result.raises is not None and names_raised(call) & set(_own_kinds(result.raises)):
            return None
        return _told(asked, f"{call.raises} is raised", _shown(result))
    if result.raises is not None:
        return _told(asked, "an answer", _shown(result))
    if call.equals is not None:
        return _unequal(asked, call.equals, result.returns)
    expected = _filled(call.returns, asked.given)
    return None if _fits(expected, result.returns) else _told(asked, _short(expected), _shown(result))


def names_raised(call: Call) -> set[str]:
    """The classes of which one must be raised."""
    return {name.strip() for name in call.raises.split("|")}


def _own_kinds(raised: _Raised) -> Iterator[str]:
    """The first class of Python's own, and those of the package that were made of it: a RecursionError, too, is a
    RuntimeError, and says of no guard that it refused."""
    for kind in raised.kinds:
        yield kind
        if kind in _PYTHONS:
            return


_PYTHONS = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
)


def _fits(expected: Any, got: Any) -> bool:
    """Type by type: 1 is no True and no 1.0."""
    if expected == ANY:
        return True
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(_fits(each, other) for each, other in zip(expected, got, strict=True))
        )
    if isinstance(expected, Mapping):
        return isinstance(got, dict) and set(expected) <= set(got) and all(_fits(expected[k], got[k]) for k in expected)
    return type(expected) is type(got) and expected == got


def agree(one: Call, other: Call, given: Mapping[str, Any]) -> bool:
    """Whether one answer fits both: who always gives it passes. Of two that return or raise."""
    if one.raises or other.raises:
        return bool(one.raises and other.raises and names_raised(one) & names_raised(other))
    return _agree(_filled(one.returns, given), _filled(other.returns, given))


def _agree(one: Any, other: Any) -> bool:
    if ANY in (one, other):
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_agree(each, same) for each, same in zip(one, other, strict=True))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_agree(one[key], other[key]) for key in set(one) & set(other))
    return _fits(one, other)


def drawn_in(expected: Any) -> Iterator[str]:
    """The names of what is drawn, in what must come."""
    if isinstance(expected, str) and expected.startswith("$"):
        yield expected[1:]
    elif isinstance(expected, Mapping):
        yield from drawn_in(list(expected.values()))
    elif isinstance(expected, list | tuple):
        for each in expected:
            yield from drawn_in(each)


def _filled(expected: Any, given: Mapping[str, Any]) -> Any:
    if isinstance(expected, str) and expected.startswith("$"):
        return given[expected[1:]]
    if isinstance(expected, list | tuple):
        return [_filled(each, given) for each in expected]
    if isinstance(expected, Mapping):
        return {key: _filled(each, given) for key, each in expected.items()}
    return expected


def _unequal(asked: Asked, equals: Equals, got: Any) -> Wrong | None:
    right = compute(equals.what, asked.given, equals.of)
    numbers = _numbers(got)
    if numbers is None:
        return _told(asked, f"an array {right.shape}", _short(got))
    if numbers.shape != right.shape:
        return _told(asked, f"an array {right.shape}", f"{numbers.shape}")
    scale = max(float(np.abs(right).max(initial=0.0)), 1e-30)
    far = ~(np.abs(numbers - right) <= equals.within * scale)  # and what is no number is far from any
    if not far.any():
        return None
    place = tuple(int(each) for each in np.argwhere(far)[0])
    return _told(
        asked,
        f"{equals.what} of {', '.join(equals.of)}",
        f"{int(far.sum())} of {right.size} numbers are others, first at {list(place)}: {right[place]:.6g} expected, "
        f"{numbers[place]:.6g} got",
    )


def _numbers(got: Any) -> np.ndarray | None:
    """None of what is no array of numbers: texts of digits, truth values alone, or what is too large for one."""
    try:
        numbers = np.asarray(got)
    except ValueError:
        return None
    return numbers if np.issubdtype(numbers.dtype, np.number) else None


def _told(asked: Asked, expected: str, got: Any) -> Wrong:
    numbers = {name: value for name, value in asked.given.items() if isinstance(value, int | float | str)}
    given = ", ".join(f"{name} = {value}" for name, value in numbers.items())
    return Wrong(call=_label(asked.call), expected=expected, got=_short(got), given=given)


def _label(call: Call) -> str:
    return f"{call.name}: {one_line(call.call)}"


def _shown(result: _Result) -> str:
    return _short(result.returns) if result.raises is None else str(result.raises)


_REPR = reprlib.Repr()
_REPR.maxlist = _REPR.maxdict = 32
_REPR.maxstring = MAX_SHOWN
"""Of what a process apart answers, however deep and long it is."""


def _short(value: Any) -> str:
    return one_line(value if isinstance(value, str) else _REPR.repr(value))


def one_line(text: str, most: int = MAX_SHOWN) -> str:
    """A text of anybody, as far as it is told."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


# --- What counts.

NEWEST = Version("99999999")


def count(rule: Rule, verdict: Verdict, version: str, today: date, *, is_installed: bool = False) -> Verdict:
    """The verdict with what is expected and declared of this release: whether it counts, and what to say of it."""
    compared = _compared(version, is_installed=is_installed)
    if not _is_in(compared, rule.expected):
        return replace(verdict, counts=False, note=f"not expected before {rule.expected}")
    notes: list[str] = []
    declared: Declared = ""
    for known in rule.known:
        if not _is_in(compared, known.releases):
            continue
        if verdict.state in HOLDS:
            declared = "mended"
            notes.append(f"mended: declared as broken in {known.releases} ({known.reason})")
        elif date.fromisoformat(known.expires) < today:
            declared = "expired"
            notes.append(f"declared as known, which expired on {known.expires}: {known.reason}")
        elif others := _undeclared(rule, known, verdict):
            notes.append(f"declared as known: {known.reason}; {others}")
        elif verdict.state is State.BROKEN:
            note = f"known: {known.reason} ({known.thread})"
            return replace(verdict, counts=False, declared="known", note=note)
    return replace(verdict, counts=True, declared=declared, note="; ".join(notes))


def _undeclared(rule: Rule, known: KnownBroken, verdict: Verdict) -> str:
    """What is wrong besides what is declared, in words; empty if nothing is, or if nobody can tell."""
    if verdict.state is State.ABSENT:
        return "that it is gone is not"
    if verdict.state is not State.BROKEN:
        return ""
    declared = {_label(call) for call in rule.calls if call.name in known.calls}
    others = sorted({wrong.call for wrong in verdict.wrong} - declared)
    if others:
        return f"that other calls go wrong is not, such as {others[0]}"
    return "" if verdict.wrong else "that nothing was answered is not"


def _compared(version: str, *, is_installed: bool = False) -> Version:
    """As it is compared: what says nothing (a folder, a checkout, what was built of one) is newer than all."""
    try:
        parsed = Version(version)
    except InvalidVersion:
        return NEWEST
    is_built = is_installed and (parsed.is_devrelease or parsed.local is not None)
    return NEWEST if is_built or not any(parsed.release) else parsed


def _is_in(version: Version, specifier: str) -> bool:
    return SpecifierSet(specifier).contains(version, prereleases=True)


def known_in(rule: Rule, version: str) -> Iterator[KnownBroken]:
    """What is declared of a release."""
    return (known for known in rule.known if _is_in(_compared(version), known.releases))


def overall(releases: Sequence[ReleaseReport]) -> ExitCode:
    """Of the last release of each package, the worst: what was before is history, which nobody can mend."""
    codes = {release.package: release.exit_code for release in releases}.values()
    return next((code for code in (ExitCode.FAILED, ExitCode.INCONCLUSIVE) if code in codes), ExitCode.OK)


def exit_code(verdicts: Sequence[Verdict]) -> ExitCode:
    """Failed if a guard that counts does not hold, inconclusive if one cannot be told, or none is expected."""
    states = {verdict.state for verdict in verdicts if verdict.counts}
    if states & {State.BROKEN, State.ABSENT}:
        return ExitCode.FAILED
    is_known = any(verdict.is_expected for verdict in verdicts) and State.CANNOT_TELL not in states
    return ExitCode.OK if is_known else ExitCode.INCONCLUSIVE
