"""The canaries in `cases/canaries/*.toml`, one file a package, held to what makes sense. Executes nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path, PurePosixPath
from random import Random

from packaging.specifiers import InvalidSpecifier, SpecifierSet

import harness
from harness.canaries.drawing import draw
from harness.canaries.expected import EXPECTED
from harness.codec import decode
from harness.errors import CaseError
from harness.records.canaries import Example, Rule, RuleFile

CANARIES = Path(harness.__file__).parents[1] / "cases" / "canaries"


def load_rules(directory: Path = CANARIES) -> dict[str, tuple[Rule, ...]]:
    """Every package's canaries. Raises CaseError, naming file and rule, for whatever could not catch anything."""
    found = {}
    for path in sorted(directory.glob("*.toml")):
        file = _read(path)
        if file.package != path.stem:
            raise CaseError("package and file name differ", where=path.name, expected=path.stem, got=file.package)
        seen: set[str] = set()
        for rule in file.rules:
            where = f"{path.name}: {rule.name}"
            if rule.name in seen:
                raise CaseError("there are two of this name", where=where)
            seen.add(rule.name)
            _check(rule, where)
        found[file.package] = tuple(_with_setups(rule, directory, f"{path.name}: {rule.name}") for rule in file.rules)
    if not found:
        raise CaseError("no canaries (*.toml)", where=str(directory))
    return found


def _read(path: Path) -> RuleFile:
    """A file, in which a rule that says `like` has all that it does not say itself from the template of that name."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"cannot be read: {error}", where=str(path)) from error
    templates = data.pop("templates", {})
    rules = []
    for raw in data.get("rules", []):
        like = raw.pop("like", "")
        if like and like not in templates:
            raise CaseError("there is no such template", where=f"{path.name}: {raw.get('name')}", got=repr(like))
        rules.append({**templates.get(like, {}), **raw})
    return decode(RuleFile, {**data, "rules": rules}, where=path.name, error=CaseError)


def _with_setups(rule: Rule, directory: Path, where: str) -> Rule:
    """The rule with the text of all that it uses."""
    texts = []
    for name in rule.uses:
        path = directory / "setups" / f"{name}.py"
        if not path.is_file():
            raise CaseError("there is no such setup", where=where, expected=f"a file {path.name} in {path.parent}")
        texts.append(path.read_text(encoding="utf-8"))
    return replace(rule, before=(*texts, *rule.before))


def _check(rule: Rule, where: str) -> None:
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
    if PurePosixPath(rule.where).is_absolute() or ".." in PurePosixPath(rule.where).parts:
        raise CaseError("`where` is no path in a package", where=where, got=rule.where)
    for specifier in (rule.expected, *(known.releases for known in rule.known)):
        _check_specifier(specifier, where)
    for known in rule.known:
        try:
            date.fromisoformat(known.expires)
        except ValueError as error:
            raise CaseError("expires is no date", where=where, expected="YYYY-MM-DD", got=known.expires) from error
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
    _check_calls(rule, where)
    for example in (*rule.good, *rule.bad):
        _check_example(rule, example, f"{where}: {example.name}")


def _check_specifier(specifier: str, where: str) -> None:
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise CaseError(
            "no releases are meant so", where=where, expected="a PEP 440 specifier", got=specifier
        ) from error


def _check_calls(rule: Rule, where: str) -> None:
    """Each says what must come of it, in words that are given; and no one answer is right for all."""
    given = draw(rule.given, Random(0), where)
    said = set()
    for call in rule.calls:
        means = [call.returns is not None, bool(call.raises), call.equals is not None]
        if sum(means) > 1:
            raise CaseError("says in two ways what must come of it", where=f"{where}: {call.name}")
        if call.equals is not None:
            if call.equals.what not in EXPECTED:
                raise CaseError("nothing is computed by that name", where=f"{where}: {call.name}",
                                expected=", ".join(sorted(EXPECTED)), got=call.equals.what)  # fmt: skip
            if missing := [name for name in call.equals.of if name not in given]:
                raise CaseError("is not given", where=f"{where}: {call.name}", got=missing[0])
        said.add(repr((call.returns, call.raises, call.equals)))
    if len(said) < 2 and rule.calls[0].equals is None:
        raise CaseError("every call has the same answer: who always gives it passes", where=where)


def _check_example(rule: Rule, example: Example, where: str) -> None:
    if bool(example.source) == bool(example.edits):
        raise CaseError("an example has a source or edits", where=where)
    if example.edits and not rule.of_release:
        raise CaseError("edits of what? Say `of_release`", where=where)


def rows_of(rules: Mapping[str, tuple[Rule, ...]]) -> set[str]:
    """The rows whose environments they need."""
    return {rule.row for each in rules.values() for rule in each if rule.row}
