"""Releases, and processes apart in the environments that rules name; made now, or by an earlier session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import pytest

import harness
from harness.canaries.checking import ENTRY, check
from harness.canaries.examples import make
from harness.canaries.judging import count
from harness.canaries.rules import load_rules, rows_of
from harness.canaries.sources import Releases, Unreachable
from harness.canaries.trees import Tree
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.planning.matrix import load_matrix, select_cells
from harness.records.canaries import Example, Rule, Source, State, Verdict
from harness.sandbox.client import Sandbox
from tests.conftest import OFFLINE

ROOT = Path(harness.__file__).parent.parent
TODAY = date(2026, 11, 1)
RULES = load_rules()
RED = {State.BROKEN, State.ABSENT}
_NO_REGISTRY = f"If no package registry can be reached from here, {OFFLINE}=1 leaves these tests out."

Fetch = Callable[[str, str, Source], Tree]
Folders = Callable[[Tree], Path]


class Looking:
    """Looks at guards: each in a process that has imported what its package's rules need in its row.

    What one package needs may itself be watched: one process has not imported both. It starts when it is first asked.
    """

    def __init__(self, executors: Mapping[tuple[str, str], Sandbox], fetch: Fetch, folders: Folders) -> None:
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


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Where the files of a tree lie."""
    root = tmp_path_factory.mktemp("unpacked")

    def unpacked(tree: Tree) -> Path:
        directory = root / tree.digest.replace(" ", "-")
        if not directory.exists():
            for name, content in tree.files.items():
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return directory

    return unpacked


@pytest.fixture(scope="module")
def looking(environments: Mapping[str, BuiltCell], fetch: Fetch, folders: Folders) -> Iterator[Looking]:
    """At any guard of any package."""
    needs: dict[tuple[str, str], set[str]] = {}
    for package, rules in RULES.items():
        for rule in rules:
            needs.setdefault((package, rule.row), set()).update(rule.needs)
    variables = cell_environment(scratch=Path("/scratch"), code=Path("/"), environ={})
    with ExitStack() as stack:
        executors = {
            (package, row): stack.enter_context(
                Sandbox(
                    environments[row].python if row else sys.executable,
                    ENTRY,
                    preload=sorted(names),
                    environment=variables,
                )
            )
            for (package, row), names in needs.items()
        }
        yield Looking(executors, fetch, folders)
