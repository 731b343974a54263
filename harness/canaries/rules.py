"""The canaries in `cases/canaries/*.toml`, one file a package, held to what makes sense. Executes nothing."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import harness
from harness.canaries.refusing import check_python, refuse
from harness.codec import decode
from harness.errors import CaseError, UsageError
from harness.records.canaries import Rule, RuleFile
from harness.records.cases import Matrix
from harness.runs.selection import parse

CANARIES = Path(harness.__file__).parents[1] / "cases" / "canaries"


def load_rules(
    directory: Path = CANARIES, *, packages: Collection[str] = (), expression: str = "", today: date | None = None
) -> dict[str, tuple[Rule, ...]]:
    """The canaries of each of the `packages`, of all if none is named, whose `rule@package` matches the expression.

    Raises CaseError, naming file and rule, for whatever could not catch anything; and UsageError for a package that no
    canary watches, or if none matches.
    """
    matches = parse(expression)
    found = {}
    others: list[str] = []
    for path in _files(directory, packages):
        file = _read(path)
        if file.package != path.stem:
            raise CaseError("package and file name differ", where=path.name, expected=path.stem, got=file.package)
        names = [rule.name for rule in file.rules]
        if twice := [name for name in names if names.count(name) > 1]:
            raise CaseError("there are two of this name", where=f"{path.name}: {twice[0]}")
        chosen = [rule for rule in file.rules if matches(f"{rule.name}@{file.package}")]
        for rule in chosen:
            refuse(rule, f"{path.name}: {rule.name}", today or datetime.now(UTC).date())
        if chosen:
            found[file.package] = tuple(_with_setups(rule, directory, f"{path.name}: {rule.name}") for rule in chosen)
        others += names[:2]
    if not found:
        expected = f"a part of a name, such as {', '.join(others)}"
        raise UsageError("no canary matches -k", expected=expected, got=expression)
    return found


def _files(directory: Path, packages: Collection[str]) -> list[Path]:
    """The files of packages, by any of the names that a registry knows them by."""
    named = {canonicalize_name(path.stem): path for path in sorted(directory.glob("*.toml"))}
    if not named:
        raise CaseError("no canaries (*.toml)", where=str(directory))
    if not packages:
        return list(named.values())
    if unknown := [package for package in packages if canonicalize_name(package) not in named]:
        names = ", ".join(path.stem for path in named.values())
        raise UsageError("no canaries watch it", where=unknown[0], expected=f"one of {names}")
    return list(dict.fromkeys(named[canonicalize_name(package)] for package in packages))


def _read(path: Path) -> RuleFile:
    """A file, in which a rule that says `like` has all that it does not say itself from the template of that name."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"cannot be read: {error}", where=str(path)) from error
    templates, raws = data.pop("templates", {}), data.pop("rules", [])
    if not isinstance(templates, dict) or not all(isinstance(each, dict) for each in templates.values()):
        raise CaseError("its templates are no tables", where=path.name, expected="[templates.NAME]")
    if not isinstance(raws, list) or not all(isinstance(each, dict) for each in raws):
        raise CaseError("its rules are no tables", where=path.name, expected="[[rules]]")
    if not raws:
        raise CaseError("holds no rules", where=path.name, expected="[[rules]]")
    file = decode(RuleFile, {**data, "rules": []}, where=path.name, error=CaseError)
    return replace(file, rules=tuple(_rule(raw, templates, path.name) for raw in raws))


def _rule(raw: dict[str, Any], templates: Mapping[str, Any], file: str) -> Rule:
    where = f"{file}: {raw.get('name', 'a rule without a name')}"
    like = raw.pop("like", None)
    if like is not None and (not isinstance(like, str) or like not in templates):
        raise CaseError("there is no such template", where=where, got=repr(like))
    template = {} if like is None else templates[like]
    return decode(Rule, {**template, **raw}, where=where, error=CaseError)


def _with_setups(rule: Rule, directory: Path, where: str) -> Rule:
    """The rule with the text of all that it uses."""
    texts = []
    for name in rule.uses:
        path = directory / "setups" / f"{name}.py"
        if not path.is_file():
            raise CaseError("there is no such setup", where=where, expected=f"a file {path.name} in {path.parent}")
        text = path.read_text(encoding="utf-8")
        check_python(text, f"{where}: {path.name}")
        texts.append(text)
    return replace(rule, before=(*texts, *rule.before))


def check_rows(rules: Mapping[str, tuple[Rule, ...]], matrix: Matrix) -> None:
    """Raise CaseError for a rule whose row nobody has."""
    names = [cell.name for cell in matrix.cells]
    for package, each in rules.items():
        for rule in each:
            if rule.row and rule.row not in names:
                where = f"{package}.toml: {rule.name}"
                raise CaseError(
                    "there is no such row", where=where, expected=f"one of {', '.join(names)}", got=rule.row
                )


def rows_of(rules: Mapping[str, tuple[Rule, ...]]) -> set[str]:
    """The rows whose environments they need."""
    return {rule.row for each in rules.values() for rule in each if rule.row}
