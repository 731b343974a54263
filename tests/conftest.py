"""What holds for every test: those that ask the package registry are left out only when told to, and by name."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# hypothesis would fail an example that takes 0.2 s: on a busy machine that is a test of the machine.
settings.register_profile("deltaproof", deadline=None)
# Each mutant runs the tests again: few examples, and the same ones for all of them.
settings.register_profile("mutants", deadline=None, max_examples=10, derandomize=True, database=None)
settings.load_profile("deltaproof")

OFFLINE = "DELTAPROOF_OFFLINE"
"""Set to 1 where no package registry can be reached: what asks one is left out, and the summary says so."""

_left_out: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks the registry, if we are told that there is none."""
    if os.environ.get(OFFLINE) != "1":
        return
    asking = [item for item in items if item.get_closest_marker("registry")]
    items[:] = [item for item in items if item not in asking]
    config.hook.pytest_deselected(items=asking)
    _left_out.extend(item.nodeid for item in asking)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was left out."""
    if _left_out:
        terminalreporter.section(f"left out, because {OFFLINE}=1: these ask the package registry")
        for name in _left_out:
            terminalreporter.line(name)
