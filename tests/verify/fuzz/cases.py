"""From a seed to a case: which triple, what is done to it, and what may be answered. The seed is all of it.

Knows no verifier.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from tests.verify.fuzz import damages
from tests.verify.fuzz.damage import ANY, CONTAINS, NOT_CONTAINED, REFUSED, REGISTRY, Damage, Kind, Scene
from tests.verify.fuzz.directories import Triple, copied
from tests.verify.fuzz.oracle import Truth, truth_of
from tests.verify.fuzz.triples import pristine

SHARES: dict[Kind, int] = {"harmless": 3, "harmful": 2, "malformed": 2, "edit": 12}
"""How often a damage of a kind comes by in a round of all of them: a blind edit is thousands of damages."""
SLOW = (
    "an_expression_that_runs_away", "many_tensors_more", "many_tensors_of_nothing", "a_file_of_gigabytes",
    "many_values",
)  # fmt: skip
"""Damages that take a second: once a round."""
COMPOSED = 0.4
"""Of the cases: how many have harmless changes under the damage."""

assert damages.__all__, "importing them has filled the list"


class Case(NamedTuple):
    """One damaged triple."""

    seed: int
    variant: str
    damages: tuple[str, ...]
    """In the order in which they were done; the last is the one that counts."""
    kind: Kind
    triple: Triple
    truth: Truth
    allowed: frozenset[str]


def round_of(names: Sequence[str]) -> tuple[str, ...]:
    """The damages of `names`, each as often as its share."""
    return tuple(name for name in names for _ in range(1 if name in SLOW else SHARES[REGISTRY[name].kind]))


def make(seed: int, only: str = "") -> Case:
    """The case of a seed; with `only`, one of that damage."""
    names = round_of([only] if only else list(REGISTRY))
    return made(random.Random(seed), REGISTRY[names[seed % len(names)]], seed)


def made(draw: random.Random, chosen: Damage, seed: int) -> Case:
    """A case of one damage, all of whose choices are drawn from `draw`; the seed is for its name alone."""
    variant = draw.choice(chosen.variants)
    triple = copied(pristine(variant))
    scene = Scene(triple, draw, variant)
    under = _under(draw, variant) if draw.random() < COMPOSED else []
    for each in (*under, chosen):
        each.apply(scene)
    truth = truth_of(triple, variant)
    done = tuple(each.name for each in (*under, chosen))
    return Case(seed, variant, done, chosen.kind, triple, truth, _allowed(chosen, truth))


def _under(draw: random.Random, variant: str) -> list[Damage]:
    layouts = [each for each in REGISTRY.values() if each.is_layout and variant in each.variants]
    return draw.sample(layouts, draw.randint(1, 3))


def _allowed(damage: Damage, truth: Truth) -> frozenset[str]:
    """What the damage allows, and the truth does."""
    if damage.kind != "edit":
        return damage.allowed
    if truth is Truth.SAME:
        return frozenset({CONTAINS, REFUSED})
    return ANY if truth in (Truth.UNKNOWN, Truth.ROUGH) else NOT_CONTAINED
