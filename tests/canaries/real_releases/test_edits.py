"""Every canary is red on every break of its guard, and on nothing that still guards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.records.canaries import HOLDS, Example, Rule
from tests.canaries.real_releases.conftest import RED, RULES, Looking

pytestmark = pytest.mark.registry
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


@pytest.mark.parametrize(("package", "rule", "example"), BAD)
def test_a_break_is_seen(package: str, rule: Rule, example: Example, looking: Looking) -> None:
    """And is no doubt: only broken or absent will do."""
    verdict = looking.at_example(package, rule, example)
    assert verdict.state in RED, verdict


@pytest.mark.parametrize(("package", "rule", "example"), GOOD)
def test_what_still_guards_is_no_break(package: str, rule: Rule, example: Example, looking: Looking) -> None:
    """Mended, under another name, or written otherwise."""
    verdict = looking.at_example(package, rule, example)
    assert verdict.state in HOLDS, verdict


def test_the_breaks_are_many_and_the_seven_among_them() -> None:
    """None of them may be lost when rules are rewritten."""
    named = {(rule.name, example.name) for rule in RULES["unsloth_zoo"] for example in rule.bad}
    assert set(SEVEN) <= named
    assert 20 <= len(named)
    assert 180 <= len(BAD)
