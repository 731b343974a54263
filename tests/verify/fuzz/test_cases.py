"""Tests of the damages themselves: what they do is what they say, by the oracle's word, and again by the same seed."""

from __future__ import annotations

import pytest

from tests.verify.fuzz.cases import SHARES, SLOW, make, round_of
from tests.verify.fuzz.damage import CONTAINS, REFUSED, REGISTRY
from tests.verify.fuzz.directories import SIDES
from tests.verify.fuzz.oracle import Truth
from tests.verify.fuzz.triples import pristine

SEEDS = range(3)
RULED_OUT = {
    "harmless": {Truth.DIFFERENT, Truth.UNREADABLE},
    "harmful": {Truth.SAME},
    "malformed": {Truth.SAME},
    "edit": set[Truth](),
}
UNSEEN = {"a_file_of_gigabytes", "a_locked_file", "a_tensor_in_two_shards_unlike", "family_without_rules"}
"""Damages that the oracle has no eye for: it has no limits and no families, is root, and takes the last of two."""


@pytest.mark.parametrize("name", sorted(set(REGISTRY) - UNSEEN))
def test_a_damage_does_what_it_says(name: str) -> None:
    """What is called harmless is never another model to the oracle, and what is called harmful never the same."""
    for seed in SEEDS[:1] if name in SLOW else SEEDS:
        case = make(seed, name)
        assert case.truth not in RULED_OUT[case.kind], f"{case.damages} ({case.variant}, seed {seed})"


@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_damage_changes_something(name: str) -> None:
    """In one of three cases at least: chance may choose what is there already."""
    assert any(case.triple != pristine(case.variant) for case in (make(seed, name) for seed in SEEDS))


def test_a_seed_is_all_of_a_case() -> None:
    """Made again, it is the same; another is another."""
    first, again, other = make(41), make(41), make(42)
    assert first == again
    assert first.triple != other.triple
    assert set(SIDES) == set(first.triple)


def test_a_round_has_every_damage() -> None:
    """Blind edits most often."""
    names = round_of(list(REGISTRY))
    assert set(REGISTRY) == set(names)
    assert SHARES["edit"] == names.count("bytes_of_a_file")
    assert len(names) < 1000


@pytest.mark.parametrize(
    ("seed", "name", "expected"),
    [
        (0, "header_with_more_spaces", {CONTAINS}),
        (0, "cut_off", {REFUSED}),
        (0, "every_weight_put_back", {"BASE_UNCHANGED"}),
    ],
)
def test_what_may_be_answered_follows_from_the_damage(seed: int, name: str, expected: set[str]) -> None:
    """Exactly, where it can be said."""
    assert expected == make(seed, name).allowed


def test_what_may_be_answered_to_a_blind_edit_follows_from_the_truth() -> None:
    """The same model may be refused, another may not be called contained."""
    found = {case.truth: case.allowed for case in (make(seed, "bytes_of_the_data") for seed in range(12))}
    assert CONTAINS not in found[Truth.DIFFERENT]
    found = {case.truth: case.allowed for case in (make(seed, "bytes_of_a_file") for seed in range(60))}
    assert {CONTAINS, REFUSED} == found[Truth.SAME]
