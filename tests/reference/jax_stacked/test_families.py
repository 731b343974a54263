"""Each field of a configuration is computed with, or refused by its name, or known to compute nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from harness.checkpoints.configs import get, has
from harness.errors import ArtifactError
from reference.jax_stacked.config import GroupedAttention, LatentAttention, ModelConfig
from reference.jax_stacked.families import implemented, read_config
from reference.jax_stacked.fields import NOT_COMPUTED_WITH, ONLY_SUPPORTED
from tests.reference.jax_stacked.tiny import FAMILIES, config_of

COMPUTES_NOTHING = frozenset({"bos_token_id", "pad_token_id", "max_position_embeddings"})
"""Of the fields that our families declare, those of which no value changes what is computed. Longer sequences than
`max_position_embeddings` are nobody's error, and padding is said by the mask."""
IN_ONE_PLACE: Mapping[str, str] = {
    "model_type": "family is not implemented",
    "num_experts": "num_local_experts",
    "num_local_experts": "num_experts",
    "rope_theta": "rope_theta",
    "partial_rotary_factor": "partial_rotary_factor",
    "rope_parameters.rope_theta": "rope_theta",
    "rope_parameters.partial_rotary_factor": "partial_rotary_factor",
    "rope_parameters.rope_type": "rope_type",
    **{
        f"{table}.{field}": "rope_type" if field == "rope_type" else "rope_scaling"
        for table in ("rope_scaling", "rope_parameters")
        for field in FAMILIES["llama"].config["rope_scaling"]
    },
}
"""Fields of which a change is refused, and what the error names: they are spelt in two places, and one was changed."""
REFUSED: Mapping[tuple[str, str], str] = {
    ("deepseek_v3", "num_key_value_heads"): "num_key_value_heads",
    ("deepseek_v3", "num_attention_heads"): "num_key_value_heads",  # latent attention has as many of both
}
"""The same for one family."""
OTHER: Mapping[str, Any] = {
    "model_type": "gpt_oss",
    "hidden_act": "gelu",
    "rope_type": "dynamic",
    "mlp_only_layers": [0],
    "decoder_sparse_step": 2,
    "n_group": 2,
    "topk_group": 1,
}
"""Another value of a field, where adding one or turning it round does not give one."""


def fields_of(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every field with its value; those of tables by dotted names."""
    fields: dict[str, Any] = {}
    for name, value in config.items():
        fields |= fields_of(value, f"{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return fields


DECLARED = [
    (family, field)
    for family in FAMILIES
    for field in dict.fromkeys([*fields_of(FAMILIES[family].config), *FAMILIES[family].aliases])
    if has(FAMILIES[family].config, field)  # a case adds the dtype
]


def changed(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    """`config` with another value of a (dotted) field, in that one place."""
    name, _, inner = field.partition(".")
    if inner:
        return {**config, name: changed(config[name], inner)}
    if name in OTHER:
        return {**config, name: OTHER[name]}
    value = config[name]
    if isinstance(value, bool):
        return {**config, name: not value}
    return {**config, name: value * 1.5 if isinstance(value, float) else value + 1}


def with_rope(family: str, **table: Any) -> dict[str, Any]:
    """A family's configuration with another rotary table, in one spelling."""
    config = FAMILIES[family].config
    kept = {
        name: value
        for name, value in config["rope_parameters"].items()
        if name in ("rope_theta", "partial_rotary_factor")
    }
    return {**config, "rope_scaling": None, "rope_parameters": {**kept, **table}}


def test_the_families_are_those_of_the_folder() -> None:
    """Each has a declaration to be tested against, and there are some."""
    assert ("deepseek_v3", "glm4_moe", "llama", "qwen3", "qwen3_moe") == implemented()
    assert set(implemented()) == set(FAMILIES)


@pytest.mark.parametrize(("family", "field"), DECLARED, ids=[f"{family}-{field}" for family, field in DECLARED])
def test_no_field_is_ignored(family: str, field: str) -> None:
    """Another value makes another model or an error that names the field, but for those that compute nothing."""
    config = FAMILIES[family].config
    other = changed(config, field)
    assert get(other, field) != get(config, field)
    refusal = REFUSED.get((family, field), IN_ONE_PLACE.get(field))

    if refusal is None:
        assert (field in COMPUTES_NOTHING) == (read_config(other) == read_config(config))
    else:
        with pytest.raises(ArtifactError, match=refusal):
            read_config(other)


TWO_PLACES: Mapping[str, tuple[str, ...]] = {
    "rope_theta": tuple(FAMILIES),
    "partial_rotary_factor": ("glm4_moe",),
}


@pytest.mark.parametrize(
    ("family", "field"),
    [(family, field) for field, families in TWO_PLACES.items() for family in families],
)
def test_a_field_of_two_places_is_computed_with(family: str, field: str) -> None:
    """Changed in both, it makes another model."""
    config = FAMILIES[family].config
    value = config[field] / 1.5
    rope = {**config["rope_parameters"], field: value}

    assert config_of(family) != config_of(family, **{field: value, "rope_parameters": rope})


def test_experts_of_two_spellings_are_computed_with() -> None:
    """`num_experts` and `num_local_experts` are one number."""
    read = config_of("qwen3_moe", num_experts=12, num_local_experts=12)

    assert read.experts is not None
    assert 12 == read.experts.num_experts


def test_what_computes_nothing_is_known_to_the_reader() -> None:
    """The list here is part of the reader's, so that neither grows alone; no field is on two of its lists."""
    assert COMPUTES_NOTHING <= NOT_COMPUTED_WITH
    assert set() == NOT_COMPUTED_WITH & ONLY_SUPPORTED.keys()


UNSUPPORTED: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "dropout": ("qwen3", {"attention_dropout": 0.1}, "attention_dropout"),
    "sliced products": ("llama", {"pretraining_tp": 2}, "pretraining_tp"),
    "router outputs": ("qwen3_moe", {"output_router_logits": True}, "output_router_logits"),
    "quantization": ("qwen3", {"quantization_config": {"quant_method": "fp8"}}, "quantization_config"),
    "cross attention": ("qwen3", {"add_cross_attention": True}, "add_cross_attention"),
    "chunks": ("llama", {"chunk_size_feed_forward": 4}, "chunk_size_feed_forward"),
    "activation": ("qwen3", {"hidden_act": "quick_gelu"}, "hidden_act"),
    "kind of layer": ("qwen3", {"layer_types": ["full_attention", "linear_attention"]}, "layer_types"),
    "number of layers": ("qwen3", {"layer_types": ["full_attention"] * 3}, "layer_types"),
    "window of no size": (
        "qwen3",
        {"use_sliding_window": False, "layer_types": ["full_attention", "sliding_attention"]},
        "layer_types",
    ),
    "heads of latent attention": ("deepseek_v3", {"num_key_value_heads": 2}, "num_key_value_heads"),
    "another size of heads": ("deepseek_v3", {"head_dim": 16}, "head_dim"),
    "two numbers of experts": ("qwen3_moe", {"num_local_experts": 4}, "num_local_experts"),
    "two thetas": ("llama", {"rope_theta": 1e6}, "rope_theta"),
    "unknown": ("qwen3", {"attention_sinks": True}, "attention_sinks"),
    "two unknown": ("qwen3", {"zeta": 1, "alpha": 2}, "alpha, zeta"),
    "of another family": ("llama", {"num_experts": 4}, "num_experts"),
    "scoring": ("deepseek_v3", {"scoring_func": "softmax"}, "scoring_func"),
    "no table": ("llama", {"rope_scaling": "linear"}, "rope_scaling"),
    "no rotary type that we have": ("qwen3", {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type"),
    "another": ("llama", {"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}, "rope_type"),
    "old name of another": ("llama", {"rope_scaling": {"type": "su"}}, "rope_type"),
}


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_what_is_not_implemented_is_refused_by_name(what: str) -> None:
    """The error names the field, and where it stands."""
    family, changes, named = UNSUPPORTED[what]
    config = {**FAMILIES[family].config, **changes}
    if "rope_scaling" in changes:
        del config["rope_parameters"]

    with pytest.raises(ArtifactError) as raised:
        read_config(config, "here/config.json")

    assert named in str(raised.value)
    assert "here/config.json" in str(raised.value)


@pytest.mark.parametrize("name", ONLY_SUPPORTED)
def test_what_is_off_is_accepted(name: str) -> None:
    """A field that would change the computation is no error where it is off, and changes nothing."""
    for value in ONLY_SUPPORTED[name]:
        assert config_of("qwen3") == config_of("qwen3", **{name: value})


ROPE_TABLES: Mapping[str, Mapping[str, Any]] = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 2.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ROPE_TABLES)
def test_an_unknown_key_of_a_rotary_table_is_refused(kind: str, family: str) -> None:
    """By its name, in each kind; without it, the table is read."""
    assert isinstance(read_config(with_rope(family, **ROPE_TABLES[kind])), ModelConfig)

    with pytest.raises(ArtifactError, match=r"rope_parameters: unknown fields: long_mscale"):
        read_config(with_rope(family, **ROPE_TABLES[kind], long_mscale=1.0))


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, table in ROPE_TABLES.items() for field in table if field != "rope_type"]
)
def test_a_scaling_needs_its_numbers(kind: str, field: str) -> None:
    """One that is missing is named; nothing is put in its place."""
    table = {name: value for name, value in ROPE_TABLES[kind].items() if name != field}

    with pytest.raises(ArtifactError, match=f"field '{field}' is missing"):
        read_config(with_rope("llama", **table))


@pytest.mark.parametrize("field", ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"])
def test_a_size_that_is_missing_is_named(field: str) -> None:
    """There is no default for what the weights decide."""
    config = {name: value for name, value in FAMILIES["qwen3"].config.items() if name != field}

    with pytest.raises(ArtifactError, match=f"field '{field}' is missing"):
        read_config(config)


def test_biases_are_where_the_family_has_them() -> None:
    """GLM4's output projection never has one; the others' follow `attention_bias`."""
    for family in ("qwen3", "qwen3_moe", "llama", "glm4_moe"):
        attention = config_of(family).attention
        assert isinstance(attention, GroupedAttention)
        assert (True, family != "glm4_moe") == (attention.bias, attention.output_bias)


def test_yarn_scales_the_scores_of_latent_attention() -> None:
    """By the square of its magnitude for `mscale_all_dim`, and not without one."""
    yarn = ROPE_TABLES["yarn"]
    tables = {"plain": {}, "yarn": yarn, "both": {**yarn, "mscale": 1.0, "mscale_all_dim": 0.5}}
    read = {name: read_config(with_rope("deepseek_v3", **table)).attention for name, table in tables.items()}
    scales = {name: attention.score_scale for name, attention in read.items() if isinstance(attention, LatentAttention)}

    assert scales["plain"] == scales["yarn"] == 18**-0.5
    assert scales["both"] == pytest.approx(scales["plain"] * (0.1 * 0.5 * math.log(4.0) + 1.0) ** 2)


def test_a_stop_token_may_be_several() -> None:
    """A number or a list, and none if the field is missing."""
    without = {name: value for name, value in FAMILIES["llama"].config.items() if name != "eos_token_id"}

    assert (3,) == config_of("llama").stop_tokens
    assert (3, 7) == config_of("llama", eos_token_id=[3, 7]).stop_tokens
    assert () == read_config(without).stop_tokens
