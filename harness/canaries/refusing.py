"""Which rules are refused: whatever could not catch anything, or could be read in two ways. Executes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from itertools import combinations
from pathlib import PurePosixPath
from random import Random
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from harness.canaries.drawing import draw
from harness.canaries.expected import EXPECTED, compute
from harness.canaries.judging import NEWEST, agree, drawn_in, names_raised
from harness.canaries.symbols import placed
from harness.errors import CaseError
from harness.records.canaries import Call, Equals, Example, KnownBroken, Rule

MAX_TIMES = 100
MAX_TIME_S = 600.0
MAX_WITHIN = 0.1
LONGEST = timedelta(days=2 * 366)
"""Until a declaration must be looked at again."""


def refuse(rule: Rule, where: str, today: date) -> None:
    """Raise CaseError, naming `where`, for a rule that could not catch anything."""
    for name in ("why", "thread"):
        if not getattr(rule, name):
            raise CaseError(f"says no {name}", where=where)
    if not rule.calls:
        raise CaseError(
            "executes nothing: only what is executed says that a guard holds", where=where, expected="calls"
        )
    if not rule.bad:
        raise CaseError(
            "has no bad example: nobody knows that it can sing", where=where, expected="at least one in `bad`"
        )
    if not rule.behaviour and not rule.symbols:
        raise CaseError("names no symbol", where=where)
    if rule.behaviour and not rule.row:
        raise CaseError("imports the package, and names no row that it can be imported in", where=where)
    if rule.needs and not rule.row:
        raise CaseError("needs packages, and names no row that has them", where=where, got=", ".join(rule.needs))
    if not 1 <= rule.times <= MAX_TIMES:
        raise CaseError("times is out of range", where=where, expected=f"1 to {MAX_TIMES}", got=str(rule.times))
    if not 0 < rule.time_s <= MAX_TIME_S:
        raise CaseError(
            "time_s is out of range", where=where, expected=f"above 0, and at most {MAX_TIME_S:g}", got=f"{rule.time_s}"
        )
    edits = [edit.where for example in (*rule.good, *rule.bad) for edit in example.edits if edit.where]
    for path in (rule.where, *(placed(rule.where, name)[0] for name in rule.symbols.values()), *edits):
        _check_path(path, where)
    _check_specifier(rule.expected, where)
    for name, texts in (("setup", [rule.setup]), ("before", rule.before)):
        for text in texts:
            check_python(text, f"{where}: {name}")
    _check_calls(rule, where)
    for example in (*rule.good, *rule.bad):
        _check_example(rule, example, f"{where}: {example.name}")
    for known in rule.known:
        _check_known(rule, known, where, today)


def _check_path(path: str, where: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or PurePosixPath(path).is_absolute() or ".." in parts:
        raise CaseError("is no path in a package", where=where, got=repr(path))


def _check_specifier(text: str, where: str) -> None:
    try:
        specifiers = SpecifierSet(text)
    except InvalidSpecifier as error:
        raise CaseError("no releases are meant so", where=where, expected="a PEP 440 specifier", got=text) from error
    ends = [Version(each.version.removesuffix(".*")) for each in specifiers]
    beside = [Version(f"{end.base_version}.0.0.1") for end in ends]
    if not any(specifiers.contains(each, prereleases=True) for each in (Version("0"), *ends, *beside, NEWEST)):
        raise CaseError("no release is meant so", where=where, got=text)


def check_python(text: str, where: str) -> None:
    """Raise CaseError for what nobody could execute."""
    try:
        compile(text, "<rule>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise CaseError(f"is no Python: {error}", where=where) from error


def _check_calls(rule: Rule, where: str) -> None:
    """Each says what must come of it, in words that are given; and no one answer is right for all."""
    given = draw(rule.given, Random(0), where)
    names = [call.name for call in rule.calls]
    if twice := [name for name in names if names.count(name) > 1]:
        raise CaseError("there are two calls of this name", where=where, got=twice[0])
    for call in rule.calls:
        _check_call(call, given, f"{where}: {call.name}")
    # What is computed is computed of what is drawn, which is other numbers each time.
    if not any(call.equals for call in rule.calls) and all(
        agree(one, other, given) for one, other in combinations(rule.calls, 2)
    ):
        raise CaseError("every call has the same answer: who always gives it passes", where=where)


def _check_call(call: Call, given: Mapping[str, Any], where: str) -> None:
    check_python(call.call, where)
    means = [call.returns is not None, bool(call.raises), call.equals is not None]
    if sum(means) > 1:
        raise CaseError("says in two ways what must come of it", where=where)
    if not any(means):
        raise CaseError("says nothing of what must come of it", where=where, expected="returns, raises or equals")
    if call.raises and not all(name.isidentifier() for name in names_raised(call)):
        raise CaseError(
            "names no class", where=where, expected='"KeyError" or "KeyError | ValueError"', got=call.raises
        )
    _check_given(drawn_in(call.returns), given, where)
    if call.equals is not None:
        _check_equals(call.equals, given, where)


def _check_given(names: Iterable[str], given: Mapping[str, Any], where: str) -> None:
    for name in names:
        if name not in given:
            raise CaseError("nobody draws it", where=where, expected=f"one of {', '.join(given)}", got=f"${name}")


def _check_equals(equals: Equals, given: Mapping[str, Any], where: str) -> None:
    if equals.what not in EXPECTED:
        expected = ", ".join(sorted(EXPECTED))
        raise CaseError("nothing is computed by that name", where=where, expected=expected, got=equals.what)
    if missing := [name for name in equals.of if name not in given]:
        raise CaseError("is not given", where=where, got=missing[0])
    if not 0 < equals.within <= MAX_WITHIN:
        raise CaseError(
            "within is out of range", where=where, expected=f"above 0, and at most {MAX_WITHIN}", got=f"{equals.within}"
        )
    try:
        compute(equals.what, given, equals.of)
    except (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError) as error:
        raise CaseError(f"{equals.what} cannot be computed of {', '.join(equals.of)}: {error}", where=where) from error


def _check_example(rule: Rule, example: Example, where: str) -> None:
    if bool(example.source) == bool(example.edits):
        raise CaseError("an example has a source or edits", where=where)
    if example.edits and not rule.of_release:
        raise CaseError("edits of what? Say `of_release`", where=where)
    for edit in example.edits:
        if not edit.find:
            raise CaseError("an edit finds nothing", where=where)
        if edit.find == edit.put:
            raise CaseError("an edit changes nothing", where=where, got=edit.find)


def _check_known(rule: Rule, known: KnownBroken, where: str, today: date) -> None:
    for name in ("releases", "reason", "thread"):
        if not getattr(known, name):
            raise CaseError(f"what is known says no {name}", where=where)
    _check_specifier(known.releases, where)
    try:
        expires = date.fromisoformat(known.expires)
    except ValueError as error:
        raise CaseError("expires is no date", where=where, expected="YYYY-MM-DD", got=known.expires) from error
    if expires > today + LONGEST:
        raise CaseError("expires in more than two years: nobody would look at it again", where=where, got=known.expires)
    if not known.calls:
        raise CaseError("declares no calls", where=where, expected="the names of those that go wrong in `calls`")
    names = [call.name for call in rule.calls]
    if unknown := [name for name in known.calls if name not in names]:
        raise CaseError(
            "declared as broken, and there is no such call",
            where=where,
            expected=f"one of {', '.join(names)}",
            got=unknown[0],
        )
