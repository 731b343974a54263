"""Every canary of these packages holds on the newest release, or is declared; and is red on every break of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.canaries.checking import check
from harness.canaries.examples import make
from harness.canaries.judging import count, exit_code
from harness.records.canaries import HOLDS, Example, Rule, State, Verdict
from tests.canaries.others.conftest import RULES, TODAY, Executors
from tests.canaries.unsloth.conftest import Fetch, Folders

pytestmark = pytest.mark.registry
RED = {State.BROKEN, State.ABSENT}
NEWEST = {"peft": "0.21.2", "transformers": "5.23.0", "trl": "1.16.0", "skyrl": "0.4.0", "bitsandbytes": "0.50.2"}


def examples(kind: str) -> Iterator[object]:
    """All of a kind, `good` or `bad`."""
    for package, rules in RULES.items():
        for rule in rules:
            for example in getattr(rule, kind):
                yield pytest.param(package, rule, example, id=f"{package}: {rule.name}: {example.name}")


BAD, GOOD = list(examples("bad")), list(examples("good"))
ALL = [pytest.param(package, rule, id=f"{package}: {rule.name}") for package, rules in RULES.items() for rule in rules]
DECLARED = [
    pytest.param(package, rule, id=f"{package}: {rule.name}")
    for package, rules in RULES.items()
    for rule in rules
    if rule.known
]


def verdict_on(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Executors, folders: Folders
) -> Verdict:
    """What is said of an example."""
    release = fetch(package, rule.of_release, rule.source) if rule.of_release else None
    return check(rule, make(rule, package, example, release), executors[package, rule.row], folders, "an example")


@pytest.mark.parametrize(("package", "rule", "example"), BAD)
def test_a_break_is_seen(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Executors, folders: Folders
) -> None:
    """And is no doubt: only broken or absent will do."""
    verdict = verdict_on(package, rule, example, fetch, executors, folders)
    assert verdict.state in RED, verdict


@pytest.mark.parametrize(("package", "rule", "example"), GOOD)
def test_what_still_guards_is_no_break(
    package: str, rule: Rule, example: Example, fetch: Fetch, executors: Executors, folders: Folders
) -> None:
    """Mended, or written otherwise."""
    verdict = verdict_on(package, rule, example, fetch, executors, folders)
    assert verdict.state in HOLDS, verdict


@pytest.mark.parametrize(("package", "rule"), ALL)
def test_the_newest_release_holds(
    package: str, rule: Rule, fetch: Fetch, executors: Executors, folders: Folders
) -> None:
    """With the very code that was read; or upstream's own break is declared, and shown to be one that can be mended."""
    version = NEWEST[package]
    verdict = check(rule, fetch(package, version, rule.source), executors[package, rule.row], folders, "a release")
    counted = count(rule, verdict, version, TODAY)
    if counted.counts:
        assert verdict.state is State.HELD, verdict
    else:
        assert verdict.state in RED, verdict
        assert counted.note.startswith("known: "), counted
        assert rule.good, "declared as broken, it must be shown that it can hold"


@pytest.mark.parametrize(("package", "rule"), DECLARED)
def test_what_is_declared_is_what_is_broken(
    package: str, rule: Rule, fetch: Fetch, executors: Executors, folders: Folders
) -> None:
    """Other calls of such a guard still go well: what is wrong is the break, and no accident on the way to it."""
    verdict = check(
        rule, fetch(package, NEWEST[package], rule.source), executors[package, rule.row], folders, "a release"
    )
    assert 0 < len(verdict.wrong) < rule.times * len(rule.calls), verdict


@pytest.mark.parametrize(
    ("package", "version", "expected", "states"),
    [
        ("peft", "0.18.1", 0, {"expert_layout_is_standard": State.BROKEN,
                               "unfused_adapter_is_converted": State.ABSENT}),
        ("peft", "0.19.1", 0, {"expert_layout_is_standard": State.CHANGED, "unfused_adapter_of_a_regex": State.BROKEN}),
        ("peft", "0.20.0", 0, {"unfused_adapter_of_a_regex": State.HELD,
                               "no_target_of_a_second_adapter_raises": State.BROKEN}),
        ("peft", "0.21.0", 0, {"no_target_of_a_second_adapter_raises": State.HELD}),
        ("transformers", "4.57.6", 0, {"rope_theta_is_read_back": State.BROKEN, "fused_experts_compute": State.ABSENT}),
        ("transformers", "5.0.0", 0, {"rope_theta_is_read_back": State.CHANGED,
                                      "number_of_experts_has_two_names": State.BROKEN}),
        ("transformers", "5.5.0", 0, {"number_of_experts_has_two_names": State.CHANGED}),
        ("trl", "0.20.0", 0, {"sequences_stay_apart": State.BROKEN, "best_fit_fits": State.BROKEN}),
        ("trl", "0.26.2", 0, {"sequences_stay_apart": State.HELD, "best_fit_requeues_nothing": State.HELD}),
        ("trl", "0.28.0", 1, {"best_fit_requeues_nothing": State.BROKEN}),
        ("trl", "0.29.1", 0, {"best_fit_requeues_nothing": State.HELD}),
        ("trl", "1.4.0", 1, {"wrapped_takes_every_token_once": State.BROKEN,
                             "padding_free_within_max_length": State.HELD}),
        ("skyrl", "0.1.0", 0, {"loading_is_strict": State.CHANGED, "expert_slot_is_cut_at_its_rank": State.BROKEN}),
        ("bitsandbytes", "0.49.0", 0, {"training_after_evaluation_has_gradients": State.BROKEN}),
    ],
)  # fmt: skip
def test_real_releases_are_told_apart(
    package: str,
    version: str,
    expected: int,
    states: dict[str, State],
    fetch: Fetch,
    executors: Executors,
    folders: Folders,
) -> None:
    """Those that broke a guard, or did not have it yet, from those before and after."""
    verdicts = []
    for rule in RULES[package]:
        verdict = check(rule, fetch(package, version, rule.source), executors[package, rule.row], folders, "a release")
        verdicts.append(count(rule, verdict, version, TODAY))
    told = {verdict.rule: f"{verdict.state}: {verdict.why}" for verdict in verdicts}
    assert states == {verdict.rule: verdict.state for verdict in verdicts if verdict.rule in states}, told
    assert expected == exit_code(verdicts), told
    assert State.CANNOT_TELL not in {verdict.state for verdict in verdicts}, told


def test_every_rule_is_tried_in_more_than_one_way() -> None:
    """None of them may be lost when rules are rewritten."""
    assert 28 <= len(ALL)
    assert 80 <= len(BAD)
