"""Every damage once or twice, given to the verifier: a part of what `nox -s fuzz` does ten thousand times."""

from __future__ import annotations

import pytest

from tests.verify.fuzz.damage import REGISTRY
from tests.verify.fuzz.results import complaint
from tests.verify.fuzz.watching import Watched

SEEDS = (0, 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(REGISTRY))
def test_a_damage_is_answered_rightly(watched: Watched, name: str, seed: int) -> None:
    """With a verdict that is true or with one clear line, soon, and never with CONTAINS for what is not contained."""
    result = watched.run(seed, name)
    assert not result.complaints, complaint(result, name)


def test_there_are_damages_of_every_kind() -> None:
    """And the harmless ones are not few: what always refuses must not pass."""
    kinds = [each.kind for each in REGISTRY.values()]
    assert {"harmless", "harmful", "malformed", "edit"} == set(kinds)
    assert kinds.count("harmless") > 20
