"""No canary sings at rewrites that change nothing: all at once, of every guard. Each by itself: `nox -s rewrites`."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.canaries.checking import Executor
from tests.canaries.rewrites import ALL_AT_ONCE, checked, is_alarm
from tests.canaries.rewriting import REWRITES
from tests.canaries.unsloth.conftest import RULES, Fetch, Folders

pytestmark = pytest.mark.registry


@pytest.mark.parametrize("package", RULES)
def test_all_rewrites_at_once(package: str, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders) -> None:
    """Each guard does what it did; or is as broken as it is declared to be."""
    found = checked(
        RULES[package],
        ALL_AT_ONCE,
        lambda rule: fetch(package, rule.of_release, rule.source),
        lambda rule: executors[rule.row],
        folders,
    )
    alarms = [verdict for rule, verdict in found if is_alarm(rule, verdict, ALL_AT_ONCE)]
    assert not alarms


@pytest.mark.parametrize("name", REWRITES)
def test_each_rewrite(name: str, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders) -> None:
    """Of the guards that need nothing but Python: the code of some rewrites is still what was read."""
    found = checked(
        [rule for rule in RULES["unsloth_zoo"] if not rule.row],
        name,
        lambda rule: fetch("unsloth_zoo", rule.of_release, rule.source),
        lambda rule: executors[rule.row],
        folders,
    )
    alarms = [verdict for rule, verdict in found if is_alarm(rule, verdict, name)]
    assert not alarms
