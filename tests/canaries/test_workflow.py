"""A whole look at releases: what ends one guard, or one release, does not end the report."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.canaries import looking, sources, workflow
from harness.canaries.looking import Environments
from harness.canaries.request import CanaryRequest
from harness.canaries.rules import CANARIES
from harness.canaries.trees import Tree
from harness.canaries.workflow import run_canaries
from harness.errors import ArtifactError, ExitCode
from harness.planning.matrix import load_matrix
from harness.records.canaries import CanaryReport, Rule, State
from tests.canaries.making import GUARD, PACKAGE, WHERE, rule, tree

TODAY = date(2026, 11, 1)
MATRIX = load_matrix(CANARIES.parent / "matrix.toml")


def look(tmp_path: Path, rules: Sequence[Rule] = (rule(),), **asked: Any) -> CanaryReport:
    """At releases of the package of ours."""
    fields: dict[str, Any] = {"seed": "s", "today": TODAY, "command": "", **asked}
    return run_canaries(CanaryRequest(out=tmp_path / "out", **fields), {PACKAGE: tuple(rules)}, MATRIX)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tree | Exception]:
    """Releases by version, or what comes of fetching them."""
    releases: dict[str, Tree | Exception] = {}

    def tree_of(_self: object, _package: str, version: str, _source: str) -> Tree:
        found = releases[version]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(sources.Releases, "tree", tree_of)
    monkeypatch.setattr(sources.Releases, "versions", lambda *_: list(releases))
    return releases


def test_what_fails_for_one_guard_is_told_of_it(
    tmp_path: Path, registry: dict[str, Tree | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are looked at, and the report is made."""
    registry["1.0"] = tree(GUARD)
    really = looking.check

    def check(each: Rule, *arguments: Any) -> Any:
        if each.name == "strange":
            raise TypeError("nobody thought of it\n" * 100)
        return really(each, *arguments)

    monkeypatch.setattr(looking, "check", check)
    report = look(tmp_path, [rule(), rule(name="strange")], version="1.0")
    held, strange = report.releases[0].verdicts
    assert (State.HELD, State.CANNOT_TELL) == (held.state, strange.state)
    assert "TypeError: nobody thought of it" in strange.why
    assert len(strange.why) < 300
    assert ExitCode.INCONCLUSIVE == report.exit_code


def test_what_is_told_of_a_guard_is_short(tmp_path: Path, registry: dict[str, Tree | Exception]) -> None:
    """However much its source says."""
    more = ", ".join(f"{'a' * 200}{number}=None" for number in range(2000))
    registry["1.0"] = tree(GUARD.replace("(stats, fallback)", f"(stats, fallback, {more})"))
    [verdict] = look(tmp_path, [rule(parameters=("another",))], version="1.0").releases[0].verdicts
    assert State.HELD is verdict.state
    assert "its parameters are stats, fallback, aaa" in verdict.why
    assert len(repr(verdict)) < 3000


def test_a_release_that_cannot_be_read_is_one_of_a_timeline(
    tmp_path: Path, registry: dict[str, Tree | Exception]
) -> None:
    """Of its guards nobody can tell; those of the others are looked at."""
    registry |= {"1.0": tree(), "1.1": ArtifactError("is encrypted", where="guarded-1.1.whl"), "1.2": tree()}
    report = look(tmp_path, since="1.0")
    states = [release.verdicts[0].state for release in report.releases]
    assert [State.HELD, State.CANNOT_TELL, State.HELD] == states
    broken = report.releases[1]
    assert ("1.1", ExitCode.INCONCLUSIVE) == (broken.version, broken.exit_code)
    assert "guarded-1.1.whl: is encrypted" in broken.verdicts[0].why
    assert ExitCode.OK == report.exit_code


@pytest.mark.parametrize(
    ("version", "code"),
    [
        ("2.0", ExitCode.FAILED),
        ("1.0", ExitCode.INCONCLUSIVE),
        ("0.0.0", ExitCode.FAILED),
        ("1.0+local", ExitCode.FAILED),
    ],
)
def test_a_package_without_its_guards_is_never_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, code: ExitCode
) -> None:
    """Where they are expected they are gone; where they are not, nothing is known."""
    monkeypatch.setattr(sources, "is_installed", lambda _: True)
    monkeypatch.setattr(sources, "installed", lambda *_: tree("", version))
    assert code == look(tmp_path, [rule(expected=">=2.0")]).exit_code


def test_the_tests_of_what_is_installed_are_those_of_its_release(
    tmp_path: Path, registry: dict[str, Tree | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the registry, which is said; of what may be no release nobody has them."""

    def installed(_package: str, _roots: object, source: str) -> Tree:
        if source == "sdist":
            raise sources.Unreachable("there are no tests")
        return tree("", "2.0")

    registry["2.0"] = tree()
    monkeypatch.setattr(sources, "is_installed", lambda _: True)
    monkeypatch.setattr(sources, "installed", installed)
    monkeypatch.setattr(sources, "installed_release", lambda _: "2.0")
    rules = [rule(), rule(name="tests", source="sdist")]
    inside, beside = look(tmp_path, rules).releases[0].verdicts
    assert (State.ABSENT, State.HELD) == (inside.state, beside.state)
    assert "made here" == beside.looked_at[-1]
    monkeypatch.setattr(sources, "installed_release", lambda _: "")
    inside, beside = look(tmp_path, rules).releases[0].verdicts
    assert (State.ABSENT, State.CANNOT_TELL, "there are no tests") == (inside.state, beside.state, beside.why)


@pytest.mark.parametrize("asked", [{}, {"behaviour": True, "symbols": {}, "setup": "from guarded.saving import count"}])
def test_folders_may_be_named_from_here(
    tmp_path: Path, registry: dict[str, Tree | Exception], monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    """As they are if nobody names one: environments and releases lie below `reports/out`, and are used elsewhere."""
    monkeypatch.chdir(tmp_path)
    python = Path(os.path.relpath(sys.executable))
    monkeypatch.setattr(workflow, "_environments", lambda *_: Environments({"r1": python}, {}))
    registry["1.0"] = tree({WHERE: GUARD, "guarded/__init__.py": ""})
    [verdict] = look(Path(), [rule(row="r1", **asked)], version="1.0").releases[0].verdicts
    assert State.HELD is verdict.state, verdict


def test_interrupted_no_guard_is_begun(
    tmp_path: Path, registry: dict[str, Tree | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for their turn do nothing."""
    registry["1.0"] = tree()
    begun: list[str] = []

    def check(each: Rule, *_arguments: Any) -> Any:
        begun.append(each.name)
        if len(begun) == 1:
            raise KeyboardInterrupt
        time.sleep(0.1)
        raise TypeError

    monkeypatch.setattr(looking, "check", check)
    with pytest.raises(KeyboardInterrupt):
        look(tmp_path, [rule(name=f"rule_{number}") for number in range(50)], version="1.0")
    assert len(begun) < 20


def test_an_environment_that_cannot_be_built_is_told(
    tmp_path: Path, registry: dict[str, Tree | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the guards that need it, with the reason."""
    environments = Environments({"": sys.executable}, {"r1": "no wheel of torch"})
    monkeypatch.setattr(workflow, "_environments", lambda *_: environments)
    registry["1.0"] = tree()
    rules = [rule(), rule(name="in a row", row="r1")]
    here, there = look(tmp_path, rules, version="1.0").releases[0].verdicts
    assert (State.HELD, State.CANNOT_TELL) == (here.state, there.state)
    assert "the environment of row r1 could not be built: no wheel of torch" in there.why
