"""No canary sings at rewrites that change nothing: all at once, of every guard. Each by itself: `nox -s rewrites`."""

from __future__ import annotations

import pytest

from tests.canaries.others.conftest import RULES, Executors
from tests.canaries.rewrites import ALL_AT_ONCE, checked, is_alarm
from tests.canaries.unsloth.conftest import Fetch, Folders

pytestmark = pytest.mark.registry


@pytest.mark.parametrize("package", RULES)
def test_all_rewrites_at_once(package: str, fetch: Fetch, executors: Executors, folders: Folders) -> None:
    """Each guard does what it did; or is as broken as it is declared to be."""
    found = checked(
        RULES[package],
        ALL_AT_ONCE,
        lambda rule: fetch(package, rule.of_release, rule.source),
        lambda rule: executors[package, rule.row],
        folders,
    )
    alarms = [verdict for rule, verdict in found if is_alarm(rule, verdict, ALL_AT_ONCE)]
    assert not alarms
