"""Tests of the tables of defaults and fields: whole, without contradiction, and right where they were looked up."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from harness.planning.families import load_families
from harness.verify.companions import defaults
from harness.verify.companions.defaults import default_of, field_table, ignored_fields, is_known
from tests.test_house import ROOT

FAMILIES = load_families(ROOT / "cases" / "families")


@pytest.mark.parametrize(
    ("model_type", "name", "expected"),
    [
        ("llama", "rope.rope_theta", 10000.0),
        ("mixtral", "rope.rope_theta", 1000000.0),
        ("glm4_moe", "rope.partial_rotary_factor", 0.5),
        ("glm4_moe", "rms_norm_eps", 1e-5),
        ("qwen3_moe", "num_experts", 128),
        ("qwen3_moe", "norm_topk_prob", False),
        ("deepseek_v3", "routed_scaling_factor", 2.5),
        ("deepseek_v3", "n_group", 8),
        ("gemma2", "tie_word_embeddings", True),
        ("gpt_oss", "rope.rope_type", "yarn"),
        ("qwen2_vl", "image_token_id", 151655),
        ("llama", "pad_token_id", None),
    ],
)
def test_defaults_are_those_of_transformers(model_type: str, name: str, expected: Any) -> None:
    """A few of each kind, as the configuration classes of 4.57.6, 5.5.0 and 5.23.0 have them."""
    found = default_of((model_type,), name)
    assert found is not None
    assert expected == found.value


@pytest.mark.parametrize(
    ("value", "fields", "expected"),
    [
        (2, {"hidden_size": 8, "num_attention_heads": 4}, True),
        (3, {"hidden_size": 8, "num_attention_heads": 4}, False),
        (None, {}, True),
        (2, {"hidden_size": 8}, None),
        (2, {"hidden_size": 8, "num_attention_heads": 0}, None),
        (2, {"hidden_size": "x" * 99, "num_attention_heads": 4}, None),
    ],
)
def test_defaults_that_follow_from_other_fields(value: Any, fields: dict[str, Any], expected: bool | None) -> None:
    """They are worked out where they can be, and unknown where they cannot."""
    found = default_of(("llama",), "head_dim")
    assert found is not None
    assert expected is found.holds(value, fields)


def test_what_versions_differ_in_is_not_known() -> None:
    """A field whose default moved between versions has none here, and neither has a field of an unknown type."""
    assert default_of(("qwen3_vl_text",), "rope.rope_theta") is None
    assert default_of(("unheard_of",), "attention_bias") is None
    assert not is_known(("unheard_of",))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_the_types_of_the_matrix_are_known(family: Any) -> None:
    """Each family's model type has its defaults here."""
    assert is_known((family.config["model_type"],))


def test_no_field_is_in_two_tables() -> None:
    """A field that no reload feels has no default, and is ignored for one reason only."""
    listed = [name for group in field_table().ignored for name in group.fields]
    assert len(listed) == len(set(listed))
    tables = tomllib.loads(defaults.DEFAULTS_PATH.read_text(encoding="utf-8"))
    sections = [tables["every"], *tables["text"].values(), *tables["part"].values()]
    stated = {name for section in sections for name in (*section, *section.get("unset", ()))}
    # Where both tie is looked up for what is stored, not compared as a field.
    assert {"tie_word_embeddings"} == stated & ignored_fields()
    others = {name for spelling in field_table().spellings for name in spelling.names[1:]}
    assert set() == stated & others


def test_every_row_says_why() -> None:
    """A reason stands beside each group of ignored fields and each set of spellings."""
    rows = (*field_table().ignored, *field_table().spellings)
    assert rows
    assert all(len(row.why) > 15 for row in rows)


def test_every_layer_rule_is_of_a_known_type() -> None:
    """Rules for layer types name model types whose other defaults are known."""
    assert all(is_known((name,)) for rule in field_table().layers for name in rule.types)
