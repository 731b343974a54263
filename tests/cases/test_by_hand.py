"""Which cases an environment at hand runs, by what is installed in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata

import pytest

from cases import by_hand
from harness.errors import UsageError

PEFT = {"torch": "2.13.0", "transformers": "5.5.0", "peft": "0.19.1", "trl": "0.25.1", "pytest": "9"}
JAX = {"jax": "0.10.2", "flax": "0.12.8", "optax": "0.2.8", "pytest": "9"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The packages of an environment, to be filled; nothing else is there."""
    packages: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in packages:
            raise metadata.PackageNotFoundError(name)
        return packages[name]

    monkeypatch.setattr(metadata, "version", version)
    by_hand.stack_of_this_environment.cache_clear()
    yield packages
    by_hand.stack_of_this_environment.cache_clear()


@pytest.mark.parametrize(("packages", "stack"), [(PEFT, "torch_peft"), (JAX, "jax_stacked")])
def test_the_stack_is_the_one_that_is_installed(
    installed: dict[str, str], packages: Mapping[str, str], stack: str
) -> None:
    """And only its cases are run: those that it writes, of families that it implements."""
    installed |= packages
    assert stack == by_hand.stack_of_this_environment()
    jobs = by_hand.jobs_for_this_environment()
    assert jobs
    assert all(stack in job.case.stacks and stack in job.family.stacks for job in jobs)
    names = {job.case.name for job in jobs}
    assert "qwen3_moe-float32-loop-sharded" in names
    assert ("qwen3-float32-trl" in names) == (stack == "torch_peft")
    assert ("qwen3_5_moe-float32-loop" in names) == (stack == "torch_peft")


def test_an_environment_without_a_stack_is_told_what_it_lacks(installed: dict[str, str]) -> None:
    """No job is made up for it."""
    installed |= {"pytest": "9"}
    with pytest.raises(UsageError, match=r"cannot train; expected torch, .*; or jax, .*; got no peft, no flax"):
        by_hand.jobs_for_this_environment()
