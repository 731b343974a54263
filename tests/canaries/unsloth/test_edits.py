"""Every canary of unsloth_zoo and unsloth holds on the release it was read in, and is red on every break of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from harness.canaries.checking import Executor, check
from harness.canaries.examples import make
from harness.canaries.judging import count, exit_code
from harness.records.canaries import HOLDS, Example, Rule, State, Verdict
from tests.canaries.unsloth.conftest import RULES, TODAY, Fetch, Folders

pytestmark = pytest.mark.registry
RED = {State.BROKEN, State.ABSENT}
SEVEN = (
    ("fallback_raises", "the raise is gone"),
    ("generation_config_saved", "the save is gone"),
    ("merge_state", "nothing is counted"),
    ("fallback_raises", "the reset is not called"),
    ("layout_by_shape", "standard called swapped"),
    ("expert_count_from_the_model", "no bound"),
    ("merge_state", "all its names are others"),
)
"""The breaks of which upstream's own canary passes five and skips one."""


def examples(kind: str) -> Iterator[object]:
    """All of a kind, `good` or `bad`."""
    for package, rules in RULES.items():
        for rule in rules:
            for example in getattr(rule, kind):
                yield pytest.param(package, rule, example, id=f"{package}: {rule.name}: {example.name}")


BAD, GOOD = list(examples("bad")), list(examples("good"))
ALL = [pytest.param(package, rule, id=f"{package}: {rule.name}") for package, rules in RULES.items() for rule in rules]


def verdict_on(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders
) -> Verdict:
    """What is said of an example."""
    release = fetch(package, rule.of_release, rule.source) if rule.of_release else None
    return check(rule, make(rule, package, example, release), executors[rule.row], folders, "an example")


@pytest.mark.parametrize(("package", "rule", "example"), BAD)
def test_a_break_is_seen(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders
) -> None:
    """And is no doubt: only broken or absent will do."""
    verdict = verdict_on(package, rule, example, fetch, executors, folders)
    assert verdict.state in RED, verdict


@pytest.mark.parametrize(("package", "rule", "example"), GOOD)
def test_what_still_guards_is_no_break(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders
) -> None:
    """Under another name, or mended."""
    verdict = verdict_on(package, rule, example, fetch, executors, folders)
    assert verdict.state in HOLDS, verdict


@pytest.mark.parametrize(("package", "rule"), ALL)
def test_the_release_that_is_edited_holds(
    package: str, rule: Rule, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders
) -> None:
    """With the very code that was read: so it is the edit that is red, unless the break is upstream's own."""
    verdict = check(rule, fetch(package, rule.of_release, rule.source), executors[rule.row], folders, "a release")
    counted = count(rule, verdict, rule.of_release, TODAY)
    if counted.counts:
        assert verdict.state is State.HELD, verdict
    else:
        assert verdict.state in RED and counted.note.startswith("known: "), counted
        assert rule.good, "declared as broken, it must be shown that it can hold"


@pytest.mark.parametrize(
    ("version", "expected"),
    [("2026.5.1", 1), ("2026.5.2", 1), ("2026.9.5", 1), ("2026.9.6", 0), ("2026.10.9", 0)],
)
def test_real_releases_are_told_apart(
    version: str, expected: int, fetch: Fetch, executors: Mapping[str, Executor], folders: Folders
) -> None:
    """Those that lose what was trained from those that do not, though the guards' own code is the same."""
    verdicts = []
    for rule in RULES["unsloth_zoo"]:
        verdict = check(rule, fetch("unsloth_zoo", version, rule.source), executors[rule.row], folders, "a release")
        verdicts.append(count(rule, verdict, version, TODAY))
    told = {verdict.rule: f"{verdict.state}: {verdict.why}" for verdict in verdicts if verdict.counts}
    assert expected == exit_code(verdicts), told
    assert State.CANNOT_TELL not in {verdict.state for verdict in verdicts}, told


def test_the_breaks_are_many_and_the_seven_among_them() -> None:
    """None of the seven may be lost when rules are rewritten."""
    named = {(rule.name, example.name) for rules in RULES.values() for rule in rules for example in rule.bad}
    assert 20 <= len(BAD)
    assert set(SEVEN) <= named
