"""Releases, and processes apart in the environments that rules name; made now, or by an earlier session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest

import harness
from harness.canaries.checking import Executor, Folders, check
from harness.canaries.examples import make
from harness.canaries.executors import Key, executors_of, unpacked
from harness.canaries.judging import count
from harness.canaries.rules import load_rules, rows_of
from harness.canaries.sources import Releases, Unreachable
from harness.canaries.trees import Tree
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.planning.matrix import load_matrix, select_cells
from harness.records.canaries import Example, Rule, Source, State, Verdict
from tests.canaries.rewrites import checked, is_alarm
from tests.conftest import OFFLINE

ROOT = Path(harness.__file__).parent.parent
TODAY = date(2026, 11, 1)
RULES = load_rules()
RED = {State.BROKEN, State.ABSENT}
_NO_REGISTRY = f"If no package registry can be reached from here, {OFFLINE}=1 leaves these tests out."

Fetch = Callable[[str, str, Source], Tree]


class Looking:
    """Looks at guards: each in a process that has imported what its package's rules need in its row."""

    def __init__(self, executors: Mapping[Key, Executor], fetch: Fetch, folders: Folders) -> None:
        self._executors = executors
        self._fetch = fetch
        self._folders = folders
        self._said: dict[tuple[str, str, str], Verdict] = {}

    def at_example(self, package: str, rule: Rule, example: Example) -> Verdict:
        """What is said of an example."""
        release = self._fetch(package, rule.of_release, rule.source) if rule.of_release else None
        return self._at(package, rule, make(rule, package, example, release))

    def at_release(self, package: str, rule: Rule, version: str) -> Verdict:
        """What is said of a release, and whether it counts; looked at once."""
        key = (package, rule.name, version)
        if key not in self._said:
            verdict = self._at(package, rule, self._fetch(package, version, rule.source))
            self._said[key] = count(rule, verdict, version, TODAY)
        return self._said[key]

    def at_rewritten(self, package: str, rules: Sequence[Rule], name: str) -> list[Verdict]:
        """What is said of these guards when they are rewritten, and should not be."""
        found = checked(
            rules,
            name,
            lambda rule: self._fetch(package, rule.of_release, rule.source),
            lambda rule: self._executors[package, rule.row],
            self._folders,
        )
        return [verdict for rule, verdict in found if is_alarm(rule, verdict, name)]

    def _at(self, package: str, rule: Rule, tree: Tree) -> Verdict:
        return check(rule, tree, self._executors[package, rule.row], self._folders, "a test")


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Mapping[str, BuiltCell]:
    """Of each row that a rule names."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("environments")
    matrix = load_matrix(ROOT / "cases" / "matrix.toml")
    resolved = resolve_all(select_cells(matrix, sorted(rows_of(RULES))), matrix, out=folder, day=TODAY)
    outcomes = build_all(resolved.done.values(), out=folder)
    for row, error in {**resolved.failed, **outcomes.failed}.items():
        pytest.fail(f"the environment of {row} cannot be built: {error}\n{error.log}\n{_NO_REGISTRY}", pytrace=False)
    return outcomes.done


@pytest.fixture(scope="session")
def fetch(pytestconfig: pytest.Config) -> Fetch:
    """A release's tree, parsed once."""
    assert pytestconfig.cache is not None
    releases = Releases(pytestconfig.cache.mkdir("releases"))
    trees: dict[tuple[str, str, Source], Tree] = {}

    def get(package: str, version: str, source: Source) -> Tree:
        key = (package, version, source)
        if key not in trees:
            try:
                trees[key] = releases.tree(*key)
            except Unreachable as error:
                pytest.fail(f"{package} {version}: {error}\n{_NO_REGISTRY}", pytrace=False)
        return trees[key]

    return get


@pytest.fixture(scope="module")
def looking(
    environments: Mapping[str, BuiltCell], fetch: Fetch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Looking]:
    """At any guard of any package."""
    pythons = {"": sys.executable, **{row: cell.python for row, cell in environments.items()}}
    parent = tmp_path_factory.mktemp("unpacked")
    with ExitStack() as stack:
        yield Looking(executors_of(RULES, pythons, stack), fetch, lambda tree: unpacked(tree, parent))
