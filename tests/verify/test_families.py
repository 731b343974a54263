"""Tests of the naming rules as they are written, and of how a name is taken apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.verify.families import NO_RULES, RULES_PATH, load_rules, rules_for, spell
from tests.verify.layouts import rules

# fmt: off
WANTED = (
    "qwen2", "qwen3", "qwen2_moe", "qwen3_moe", "mixtral", "olmoe", "glm4_moe", "deepseek_v2", "deepseek_v3", "gpt_oss",
    "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text", "llama", "mistral", "gemma", "gemma2", "gemma3",
    "gemma3_text",
)
# fmt: on
"""The families that the verifier promises to know."""


@pytest.mark.parametrize("model_type", WANTED)
def test_the_promised_families_have_a_row(model_type: str) -> None:
    """Each is found by its model_type."""
    assert rules(model_type).name


@pytest.mark.parametrize("model_type", sorted(load_rules()))
def test_a_row_fits_together(model_type: str) -> None:
    """Experts come with their count's field, each part has one name with a number in it, and each is fused once."""
    family = rules(model_type)
    assert bool(family.experts) == bool(family.num_experts)
    if family.experts is not None:
        assert ["gate", "up", "down"] == [rule.part for rule in family.experts.apart]
        assert all(name.count("{expert}") == 1 for rule in family.experts.apart for name in rule.names)
        assert ["gate", "up", "down"] == [part for rule in family.experts.fused for part in rule.parts]
        assert all("{expert}" not in name for rule in family.experts.fused for name in rule.names)


@pytest.mark.parametrize("model_type", sorted(load_rules()))
def test_prefixes_lead_to_names_that_stay(model_type: str) -> None:
    """What a prefix is rewritten to is not rewritten again."""
    family = rules(model_type)
    for beginning, instead in family.prefixes:
        name = f"{beginning}0.weight"
        assert f"{instead}0.weight" == spell(family, name).head + spell(family, name).rest
        assert spell(family, f"{instead}0.weight") == spell(family, name)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (("[families.plain]", "[families.plain]\nmodel = 1"), "unknown key 'model'"),
        (('prefix = "llama4"', 'prefix = "lama4"'), "there is no 'lama4'"),
        (('experts = "llama4"', 'experts = "lama4"'), "there is no 'lama4'"),
        (('"llama", "mistral"', '"llama", "gpt_oss"'), "is in two rows"),
        (('orientation = "in_out"', 'orientation = "sideways"'), "unknown value"),
    ],
    ids=["key", "prefix", "experts", "twice", "value"],
)
def test_a_wrong_file_is_refused(tmp_path: Path, damage: tuple[str, str], message: str) -> None:
    """Unknown keys and values, references to nothing, and a model_type in two rows are errors that say which."""
    text = RULES_PATH.read_text(encoding="utf-8")
    assert damage[0] in text
    path = tmp_path / "families.toml"
    path.write_text(text.replace(*damage), encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load_rules(path)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"model_type": "llama"}, "plain"),
        ({"model_type": "gemma3", "text_config": {"model_type": "gemma3_text"}}, "llava"),
        ({"model_type": "some_vision_language", "text_config": {"model_type": "qwen3_moe"}}, "qwen_moe"),
        ({"model_type": "never_heard_of"}, ""),
        ({"text_config": 3}, ""),
        ({"model_type": ["llama"]}, ""),
        ({}, ""),
    ],
)
def test_a_configuration_finds_its_row(config: dict[str, object], name: str) -> None:
    """By its own model_type, else by its text model's; whatever else it holds is no row."""
    assert name == rules_for(load_rules(), config).name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.12.mlp.up_proj.weight", ("model.layers.12.", 12, "mlp.up_proj.weight")),
        ("transformer.h.3.attn.c_attn.weight", ("transformer.h.3.", 3, "attn.c_attn.weight")),
        ("visual.blocks.0.norm.weight", ("visual.blocks.0.", 0, "norm.weight")),
        ("model.layers.1.sub.layers.2.weight", ("model.layers.1.", 1, "sub.layers.2.weight")),
        ("lm_head.weight", ("", None, "lm_head.weight")),
        ("model.layers.01.weight", ("", None, "model.layers.01.weight")),
        ("model.layers." + "9" * 5000 + ".weight", ("", None, "model.layers." + "9" * 5000 + ".weight")),
    ],
    ids=["layers", "h", "blocks", "first", "outside", "zeros", "digits"],
)
def test_a_name_is_split_at_its_layer(name: str, expected: tuple[str, int | None, str]) -> None:
    """At the first number of layers, h or blocks, if it is written as a number is."""
    assert expected == spell(NO_RULES, name)
