"""What canaries say of releases: the newest, as it is and rewritten, those that broke a guard or mended it."""

from __future__ import annotations

import pytest

from harness.canaries.judging import exit_code
from harness.records.canaries import Rule, State
from tests.canaries.real_releases.conftest import RED, RULES, Looking
from tests.canaries.rewrites import ALL_AT_ONCE
from tests.canaries.rewriting import REWRITES

pytestmark = pytest.mark.registry
NEWEST = {
    "bitsandbytes": "0.50.2", "peft": "0.21.2", "skyrl": "0.4.0", "transformers": "5.23.0", "trl": "1.16.0",
    "unsloth": "2026.10.9", "unsloth_zoo": "2026.10.9",
}  # fmt: skip
"""When the rules were written: with the code that somebody has read."""
ALL = [pytest.param(package, rule, id=f"{package}: {rule.name}") for package, rules in RULES.items() for rule in rules]


@pytest.mark.parametrize(("package", "rule"), ALL)
def test_the_newest_release_holds(package: str, rule: Rule, looking: Looking) -> None:
    """So it is the edit that is red; or upstream's own break is declared, and shown to be one that can be mended.

    Other calls of such a guard still go well: what is wrong is the break, and no accident on the way to it.
    """
    assert rule.of_release in ("", NEWEST[package])
    verdict = looking.at_release(package, rule, NEWEST[package])
    if verdict.counts:
        assert verdict.state is State.HELD, verdict
    else:
        assert verdict.state in RED, verdict
        assert verdict.note.startswith("known: "), verdict
        assert 0 < len(verdict.wrong) < rule.times * len(rule.calls), verdict
        assert rule.good, "declared as broken, it must be shown that it can hold"


@pytest.mark.parametrize(
    ("package", "version", "expected", "states"),
    [
        ("unsloth_zoo", "2026.5.1", 1, {}),
        ("unsloth_zoo", "2026.5.2", 1, {}),
        ("unsloth_zoo", "2026.9.5", 1, {}),
        ("unsloth_zoo", "2026.9.6", 0, {}),
        ("unsloth_zoo", "2026.10.9", 0, {}),
        ("peft", "0.18.1", 0, {"expert_layout_is_standard": State.BROKEN,
                               "unfused_adapter_is_converted": State.ABSENT}),
        ("peft", "0.19.0", 1, {"expert_layout_is_standard": State.BROKEN, "expert_packing_of_b": State.BROKEN,
                               "unfused_adapter_is_converted": State.BROKEN}),
        ("peft", "0.19.1", 0, {"expert_layout_is_standard": State.CHANGED, "unfused_adapter_of_a_regex": State.BROKEN}),
        ("peft", "0.20.0", 0, {"unfused_adapter_of_a_regex": State.HELD,
                               "no_target_of_a_second_adapter_raises": State.BROKEN}),
        ("peft", "0.21.0", 0, {"no_target_of_a_second_adapter_raises": State.HELD}),
        ("transformers", "4.57.6", 3, {"rope_theta_is_read_back": State.BROKEN, "fused_experts_compute": State.ABSENT}),
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
    package: str, version: str, expected: int, states: dict[str, State], looking: Looking
) -> None:
    """Those that broke a guard, or did not have it yet, from those before and after, even if its code stayed."""
    verdicts = [looking.at_release(package, rule, version) for rule in RULES[package]]
    told = {verdict.rule: f"{verdict.state}: {verdict.why}" for verdict in verdicts}
    assert states == {verdict.rule: verdict.state for verdict in verdicts if verdict.rule in states}, told
    assert expected == exit_code(verdicts), told
    assert State.CANNOT_TELL not in {verdict.state for verdict in verdicts}, told


@pytest.mark.parametrize("package", RULES)
def test_all_rewrites_at_once(package: str, looking: Looking) -> None:
    """Of every guard: it does what it did, or is as broken as it is declared. Each by itself: `nox -s rewrites`."""
    assert not looking.at_rewritten(package, RULES[package], ALL_AT_ONCE)


@pytest.mark.parametrize("name", REWRITES)
def test_each_rewrite(name: str, looking: Looking) -> None:
    """Of the guards that need nothing but Python: the code of some rewrites is still what was read."""
    rules = [rule for rule in RULES["unsloth_zoo"] if not rule.row]
    assert not looking.at_rewritten("unsloth_zoo", rules, name)
