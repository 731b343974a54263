"""In which dialects a stack writes which adapters."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.checkpoints.dialects import OWN, WRITTEN, dialects_of, routes_of
from harness.records.cases import AdapterSpec
from tests.observations import DENSE, FAMILIES, MOE, make_case

EXPERTS = sorted((name, word) for name, family in FAMILIES.items() for word in family.adaptable if "experts" in word)


@pytest.mark.parametrize(("name", "word"), EXPERTS)
def test_adapters_of_experts_are_written_in_every_dialect_by_a_stack_that_knows_them(name: str, word: str) -> None:
    """Of any family, whether all of the experts' projections are adapted or some; PEFT writes its own way."""
    family = FAMILIES[name]
    case = make_case(family, adapter=AdapterSpec(adapt=(word,)))
    assert WRITTEN == dialects_of(case, family, "jax_stacked")
    assert OWN == dialects_of(case, family, "torch_peft")


def test_all_other_adapters_are_written_in_one_way() -> None:
    """A dense model's, and those of a mixture of experts that leave the experts alone."""
    assert EXPERTS
    attention = make_case(MOE, adapter=AdapterSpec(adapt=("attention",)))
    assert OWN == dialects_of(attention, MOE, "jax_stacked") == dialects_of(make_case(DENSE), DENSE, "jax_stacked")


def test_what_is_merged_has_no_dialect() -> None:
    """Each form of the case, the adapter as often as it is written."""
    case = make_case(MOE)
    expected = (("lora", "standard"), ("lora", "swapped"), ("lora", "per_expert"), ("merged", ""))
    assert expected == routes_of(case, MOE, "jax_stacked")
    assert (("merged", ""),) == routes_of(replace(case, forms=("merged",)), MOE, "jax_stacked")
    assert (("lora", ""), ("merged", "")) == routes_of(case, MOE, "torch_peft")
