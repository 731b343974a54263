"""Tests of effective configurations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.checkpoints.configs import effective_config, get, has
from harness.errors import CaseError
from harness.records.cases import Case, Family


@pytest.mark.parametrize("name", ["num_experts", "num_local_experts"])
def test_an_override_changes_every_spelling(qwen3_moe: Family, case_of: Callable[..., Case], name: str) -> None:
    """Whichever spelling a case uses, all that the family writes follow, and other fields do not."""
    config = effective_config(qwen3_moe, case_of(qwen3_moe, config={name: 16}))
    assert (16, 16) == (config["num_experts"], config["num_local_experts"])
    assert {"num_experts", "num_local_experts", "architectures", "dtype"} == {
        key for key, value in config.items() if value != qwen3_moe.config.get(key)
    }


@pytest.mark.parametrize("name", ["rope_theta", "rope_parameters.rope_theta"])
def test_an_override_reaches_nested_spellings(qwen3_moe: Family, case_of: Callable[..., Case], name: str) -> None:
    """rope_theta is written twice, and the family's own configuration is not changed by a case's override."""
    config = effective_config(qwen3_moe, case_of(qwen3_moe, config={name: 77.0}))
    assert (77.0, 77.0) == (config["rope_theta"], config["rope_parameters"]["rope_theta"])
    assert 300.0 == get(qwen3_moe.config, "rope_parameters.rope_theta")


@pytest.mark.parametrize("name", ["hidden_sise", "rope_parameters.lost", "lost.rope_theta", "hidden_size.more"])
def test_unknown_fields_are_refused(qwen3_moe: Family, case_of: Callable[..., Case], name: str) -> None:
    """A misspelled override is an error that lists the fields, not a field that nobody reads."""
    with pytest.raises(CaseError, match=r"tiny: .*rms_norm_eps"):
        effective_config(qwen3_moe, case_of(qwen3_moe, config={name: 1}))


def test_spellings_that_disagree_are_refused(qwen3_moe: Family, case_of: Callable[..., Case]) -> None:
    """An override that replaces a whole table must agree with the spelling outside it."""
    parameters = {"rope_type": "default", "rope_theta": 5.0}
    with pytest.raises(CaseError, match="disagree"):
        effective_config(qwen3_moe, case_of(qwen3_moe, config={"rope_parameters": parameters}))


def test_aliases_of_missing_fields_are_refused(qwen3_moe: Family, case_of: Callable[..., Case]) -> None:
    """A family cannot promise to compare a field that it does not declare."""
    family = replace(qwen3_moe, aliases={**qwen3_moe.aliases, "lost": ()})
    with pytest.raises(CaseError, match="'lost'"):
        effective_config(family, case_of(family))


def test_every_compared_field_is_declared(family: Family, case_of: Callable[..., Case]) -> None:
    """Each alias of each family resolves in its configuration, and dtype and architecture are the case's."""
    config = effective_config(family, case_of(family, dtype="bfloat16"))
    assert [] == [name for name in family.aliases if not has(config, name)]
    assert ("bfloat16", [family.architecture]) == (config["dtype"], config["architectures"])
