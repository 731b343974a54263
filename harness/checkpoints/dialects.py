"""In which dialects a stack writes an adapter: the one answer that plans, stacks and the inventory of files go by.

PEFT writes its own way. A stack that knows every layout writes each of them where it matters, which is for experts
alone: every other factor looks the same to all versions. Knows no files and no tensors.
"""

from __future__ import annotations

from harness.checkpoints.naming import roles_of
from harness.records.cases import Case, Dialect, Family, Form

OWN: tuple[Dialect, ...] = ("",)
WRITTEN: tuple[Dialect, ...] = ("standard", "swapped", "per_expert")
MULTILINGUAL = ("jax_stacked",)
"""The stacks that write, and read, all of `WRITTEN`."""
EXPERT_ROLES = "experts."


def dialects_of(case: Case, family: Family, stack: str) -> tuple[Dialect, ...]:
    """The dialects in which a write of `case` by `stack` saves its adapter, each in a folder of its own."""
    adapts_experts = any(role.startswith(EXPERT_ROLES) for role in roles_of(family, case.adapter.adapt))
    return WRITTEN if stack in MULTILINGUAL and adapts_experts else OWN


def routes_of(case: Case, family: Family, stack: str) -> tuple[tuple[Form, Dialect], ...]:
    """What a write of `case` by `stack` leaves to be read: each form, the adapter in each of its dialects."""
    return tuple(
        (form, dialect)
        for form in case.forms
        for dialect in (dialects_of(case, family, stack) if form == "lora" else OWN)
    )
