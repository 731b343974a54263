"""Tests of config.json compared: what is only spelt otherwise is no finding, and the nearest real loss is one."""

from __future__ import annotations

from typing import Any

import pytest

from harness.verify.companions.configs import compare_configs
from tests.verify.companions.builders import CONFIG, changed, graves, kinds
from tests.verify.companions.config_pairs import GEMMA, LLAMA, NESTED, SPELLINGS, TEXT


@pytest.mark.parametrize(("base", "alike", "_unlike", "_field"), SPELLINGS.values(), ids=SPELLINGS)
def test_spellings_of_the_same_are_no_finding(
    base: dict[str, Any], alike: dict[str, Any], _unlike: dict[str, Any], _field: str
) -> None:
    """What loads as base does is alike, both ways, however it is written."""
    assert [] == graves(compare_configs(base, alike))
    assert [] == graves(compare_configs(alike, base))


@pytest.mark.parametrize(("base", "_alike", "unlike", "field"), SPELLINGS.values(), ids=SPELLINGS)
def test_the_nearest_difference_is_named(
    base: dict[str, Any], _alike: dict[str, Any], unlike: dict[str, Any], field: str
) -> None:
    """What loads otherwise is found, both ways, and its field is in the message."""
    for before, after in ((base, unlike), (unlike, base)):
        found = graves(compare_configs(before, after))
        assert any(field in message for _, message in found), found
    assert "config_mismatch" in kinds(compare_configs(base, unlike)) or field == "dtype"


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (None, 5, "warning"),
        (0, None, "warning"),
        (0, 5, "error"),
    ],
)
def test_padding_that_trainers_set_is_a_warning(before: int | None, after: int | None, severity: str) -> None:
    """A padding token that was unset, or becomes so, changes how batches are filled; another one is another model's."""
    [(found, message)] = graves(
        compare_configs(changed(CONFIG, pad_token_id=before), changed(CONFIG, pad_token_id=after))
    )
    assert severity == found
    assert "pad_token_id" in message


def test_a_token_lost_to_a_default_that_differs_is_an_error() -> None:
    """Llama's first token is 1 by default: leaving out another one is not leaving it unset."""
    base = changed(LLAMA, bos_token_id=7)
    assert {"config_mismatch"} == kinds(compare_configs(base, LLAMA))
    assert [] == graves(compare_configs(changed(LLAMA, bos_token_id=1), LLAMA))


@pytest.mark.parametrize("name", ["strange_size", "attention_bias", "rope_theta"])
def test_an_unknown_default_is_a_warning(name: str) -> None:
    """Of a model type that no table has, a field that one side lacks may or may not be its default."""
    base = changed(CONFIG, model_type="unheard_of", strange_size=3)
    for before, after in ((base, changed(base, name)), (changed(base, name), base)):
        [(severity, message)] = graves(compare_configs(before, after))
        assert "warning" == severity
        assert name in message
        assert "not known" in message
    assert "error" == graves(compare_configs(base, changed(base, **{name: 5})))[0][0]


def test_null_is_as_good_as_absent_where_nothing_is_known() -> None:
    """A field of an unknown type that one side states as null is no finding; one with a value is."""
    base = changed(CONFIG, model_type="unheard_of")
    assert [] == graves(compare_configs(base, changed(base, strange=None)))
    assert graves(compare_configs(base, changed(base, strange=1)))


def test_one_field_spelt_twice_differently_is_an_error() -> None:
    """Versions read different ones of two spellings that contradict; what base contradicts itself in is its own."""
    twice = changed(CONFIG, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
    found = compare_configs(CONFIG, twice)
    assert any("twice" in message for _, message in graves(found))
    assert [] == graves(compare_configs(twice, twice))
    experts = changed(CONFIG, num_local_experts=8)
    assert any("num_experts is in" in message for _, message in graves(compare_configs(CONFIG, experts)))


def test_what_transformers_4_no_longer_finds_is_a_note() -> None:
    """A field that moved to where only transformers 5 looks is said, unless it is the default anyway."""
    moved = changed(CONFIG, "rope_theta", rope_parameters={"rope_type": "default", "rope_theta": 300.0})
    [note] = compare_configs(CONFIG, moved)
    assert "note" == note.severity
    assert "rope_theta" in note.message
    plain = changed(CONFIG, rope_theta=10000.0)
    assert () == compare_configs(plain, changed(plain, "rope_theta"))


@pytest.mark.parametrize(
    ("stored", "severity"), [(frozenset({"float32"}), "error"), (frozenset({"bfloat16"}), "warning"), ((), "warning")]
)
def test_a_dtype_that_is_not_the_stored_one_is_an_error(stored: frozenset[str], severity: str) -> None:
    """A stated dtype that the weights have is a warning, for they are judged elsewhere; one that rounds is an error."""
    after = changed(CONFIG, torch_dtype="bfloat16")
    [(found, message)] = graves(compare_configs(CONFIG, after, stored_dtypes=stored))
    assert severity == found
    assert "dtype" in message
    assert [] == graves(compare_configs(CONFIG, changed(CONFIG, "torch_dtype"), stored_dtypes=stored))


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [
        (None, {"quant_method": "bitsandbytes"}, "error"),
        ({"quant_method": "bitsandbytes"}, {"quant_method": "awq"}, "error"),
        ({"quant_method": "bitsandbytes"}, None, "warning"),
    ],
)
def test_quantisation_that_comes_or_goes_is_found(before: Any, after: Any, severity: str) -> None:
    """Quantised on one side only, the weights cannot be compared as they are: the message says so."""
    [(found, message)] = graves(
        compare_configs(changed(CONFIG, quantization_config=before), changed(CONFIG, quantization_config=after))
    )
    assert severity == found
    assert "cannot be told" in message
    assert [] == graves(
        compare_configs(changed(CONFIG, quantization_config=before), changed(CONFIG, quantization_config=before))
    )


def test_a_text_model_alone_is_said_to_be_one() -> None:
    """The text part of a vision-language model, saved alone, is a warning; with another size it is an error too."""
    found = graves(compare_configs(NESTED, TEXT))
    assert ["warning"] == [severity for severity, message in found if "model_type" in message]
    assert "error" not in dict(found)
    assert "config_mismatch" in kinds(compare_configs(NESTED, changed(TEXT, hidden_size=8)))


def test_a_lost_part_is_an_error() -> None:
    """The settings for images, gone, are defaults: an error for what was not default, and always of an unknown kind."""
    assert "config_mismatch" in kinds(compare_configs(NESTED, changed(NESTED, "vision_config")))
    strange = {**NESTED, "audio_config": {"depth": 3}}
    assert "config_mismatch" in kinds(compare_configs(strange, NESTED))
    usual = {**NESTED, "vision_config": {"depth": 32}}
    assert [] == graves(compare_configs(usual, changed(usual, "vision_config")))


@pytest.mark.parametrize("name", ["rope_scaling", "rope_parameters"])
def test_rotary_fields_that_are_no_table_are_an_error(name: str) -> None:
    """A number where a table should be is a difference, however the rest is spelt; null is none."""
    assert "config_mismatch" in kinds(compare_configs(CONFIG, changed(CONFIG, **{name: 5})))
    assert [] == graves(compare_configs(CONFIG, changed(CONFIG, **{name: None})))
    assert "config_mismatch" in kinds(compare_configs(GEMMA, changed(GEMMA, **{name: [1]})))


def test_ids_of_the_whole_model_go_before_those_of_its_text_part() -> None:
    """transformers 5 writes the text part's defaults into it; what generation takes stays what it was."""
    base = changed(NESTED, eos_token_id=[1, 6])
    written = {**base, "text_config": changed(TEXT, eos_token_id=1)}
    assert [] == graves(compare_configs(base, written))
    assert "config_mismatch" in kinds(compare_configs(base, changed(written, eos_token_id=1)))


def test_values_that_one_version_reads_alike_are_a_warning() -> None:
    """Gemma's first activation is another one to transformers 5.23 than to those before it."""
    base = {"model_type": "gemma", "hidden_act": "gelu"}
    assert [("warning", True)] == [
        (severity, "hidden_act" in message)
        for severity, message in graves(compare_configs(base, changed(base, hidden_act="gelu_pytorch_tanh")))
    ]
    assert {"config_mismatch"} == kinds(compare_configs(base, changed(base, hidden_act="silu")))


def test_lost_architectures_are_a_warning() -> None:
    """transformers finds the class by the model's type; others need the name."""
    [(severity, message)] = graves(compare_configs(CONFIG, changed(CONFIG, "architectures")))
    assert "warning" == severity
    assert "architectures" in message


def test_strangers_values_are_shown_safely() -> None:
    """A value with control characters or half a surrogate is escaped, and a long one is cut."""
    nasty = changed(CONFIG, hidden_act="\x1b[31m\ud800" + "x" * 10_000)
    [finding] = compare_configs(CONFIG, nasty)
    assert finding.message.isascii()
    assert finding.message.isprintable()
    assert len(finding.message) < 400
