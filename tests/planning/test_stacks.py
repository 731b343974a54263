"""Which stack an environment can run."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.planning.stacks import NEEDS, TELLS, stack_of
from harness.records.cases import PRINCIPAL, STACKS, Stack

EVERYTHING = [name for packages in NEEDS.values() for name in packages]


def test_every_stack_says_what_it_needs_and_shows() -> None:
    """In each of the tables; what tells a stack is among what it needs."""
    assert set(STACKS) == set(NEEDS) == set(TELLS) == set(PRINCIPAL)
    assert all(TELLS[stack] in NEEDS[stack] for stack in STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_what_a_stack_needs_is_enough(stack: Stack) -> None:
    """And whatever else is there does not matter."""
    assert stack == stack_of([*NEEDS[stack], "numpy"], where="here")


def test_the_first_stack_goes_before_the_second() -> None:
    """Where both are installed."""
    assert STACKS[0] == stack_of(EVERYTHING, where="here")


@pytest.mark.parametrize(("stack", "package"), [(stack, name) for stack in STACKS for name in NEEDS[stack]])
def test_what_is_missing_is_named(stack: Stack, package: str) -> None:
    """One package short is a UsageError with that package, or with what would tell any stack; and with the place."""
    others = [name for name in NEEDS[stack] if name != package]
    with pytest.raises(UsageError, match="here: this environment cannot train") as raised:
        stack_of(others, where="here")
    assert f"no {package}" in str(raised.value)
    assert ", ".join(NEEDS[stack]) in str(raised.value)
