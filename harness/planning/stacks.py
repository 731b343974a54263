"""Which stack an environment can run, by what is installed in it: for those who bring an environment of their own."""

from __future__ import annotations

from collections.abc import Container, Mapping

from harness.errors import UsageError
from harness.records.cases import Stack

NEEDS: Mapping[Stack, tuple[str, ...]] = {
    "torch_peft": ("torch", "transformers", "peft", "trl", "pytest"),
    "jax_stacked": ("jax", "flax", "optax", "pytest"),
}
"""What must be installed for each stack, in the order in which they are looked for."""
TELLS: Mapping[Stack, str] = {"torch_peft": "peft", "jax_stacked": "flax"}
"""The package that says which stack an environment is meant for."""


def stack_of(installed: Container[str], *, where: str) -> Stack:
    """The stack of the environment `where` with the packages `installed`; the first where it holds those of several.

    Raises UsageError, with what is missing, if no stack can train there.
    """
    stack = next((stack for stack, package in TELLS.items() if package in installed), None)
    needed = [", ".join(packages) for name, packages in NEEDS.items() if stack in (None, name)]
    missing = TELLS.values() if stack is None else [name for name in NEEDS[stack] if name not in installed]
    if stack is None or missing:
        raise UsageError(
            "this environment cannot train",
            where=where,
            expected="; or ".join(needed),
            got=f"no {', no '.join(missing)}",
            next_step="Install them here, or have environments built: deltaproof run.",
        )
    return stack
