"""Processes apart in the environments that rules name, one for each package and row; and releases, as elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.canaries.checking import ENTRY, Executor
from harness.canaries.rules import load_rules, rows_of
from harness.cells.many import build_all, resolve_all
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.planning.matrix import load_matrix, select_cells
from harness.sandbox.client import Sandbox
from tests.canaries.unsloth.conftest import ROOT, TODAY, fetch, folders
from tests.conftest import OFFLINE

__all__ = ["fetch", "folders"]

PACKAGES = ("peft", "transformers", "trl", "skyrl", "bitsandbytes")
RULES = {package: load_rules()[package] for package in PACKAGES}

Executors = Mapping[tuple[str, str], Executor]
"""By package and row."""


@pytest.fixture(scope="session")
def environments(pytestconfig: pytest.Config) -> Mapping[str, BuiltCell]:
    """Of each row that a rule names."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("environments")
    matrix = load_matrix(ROOT / "cases" / "matrix.toml")
    resolved = resolve_all(select_cells(matrix, sorted(rows_of(RULES))), matrix, out=folder, day=TODAY)
    outcomes = build_all(resolved.done.values(), out=folder)
    for row, error in {**resolved.failed, **outcomes.failed}.items():
        pytest.fail(
            f"the environment of {row} cannot be built: {error}\n{error.log}\n{OFFLINE}=1 leaves these tests out.",
            pytrace=False,
        )
    return outcomes.done


@pytest.fixture(scope="module")
def executors(environments: Mapping[str, BuiltCell]) -> Iterator[Executors]:
    """Each has imported what its package's rules need in its row; it is started by the first test that asks it."""
    needs: dict[tuple[str, str], set[str]] = {}
    for package, rules in RULES.items():
        for rule in rules:
            needs.setdefault((package, rule.row), set()).update(rule.needs)
    variables = cell_environment(scratch=Path("/scratch"), code=Path("/"), environ={})
    with ExitStack() as stack:
        yield {
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
