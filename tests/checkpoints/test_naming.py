"""Tests of canonical names: tables, fused parameters, layer sets, roles."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.naming import canonical_names, layer_set, roles_of, tensor_table, to_canonical
from harness.errors import ArtifactError, CaseError
from harness.records.cases import Family

FULL_COUNT = {"num_hidden_layers": 48, "num_experts": 128}
MAX_SECONDS = 5.0
"""Ten times and more what it takes: a guard against quadratic code, not a benchmark."""


def config_of(family: Family, **changes: Any) -> dict[str, Any]:
    """The family's configuration, with `changes`."""
    return {**family.config, **changes}


def test_the_table_has_every_expert_at_full_count(qwen3_moe: Family) -> None:
    """48 layers of 128 experts are 18,432 expert projections, and take no time to name or to split."""
    config = config_of(qwen3_moe, **FULL_COUNT)
    started = time.perf_counter()
    table = tensor_table(qwen3_moe, config)
    roles = Counter(tensor.role for tensor in table.values())
    assert {"experts.gate": 6144, "experts.up": 6144, "experts.down": 6144} == {
        role: count for role, count in roles.items() if role.startswith("experts")
    }
    prefix = "model.layers.{}.mlp.experts."
    fused = {prefix.format(layer) + "gate_up_proj": np.zeros((128, 80, 48), np.float32) for layer in range(48)}
    fused |= {prefix.format(layer) + "down_proj": np.zeros((128, 48, 40), np.float32) for layer in range(48)}
    split = to_canonical(qwen3_moe, config, fused)
    assert 18432 == len(split)
    assert {name: array.shape for name, array in split.items()} == {
        name: tensor.shape for name, tensor in table.items() if tensor.role.startswith("experts")
    }
    for name in table:
        assert (name,) == canonical_names(qwen3_moe, config, name)
    assert time.perf_counter() - started < MAX_SECONDS


def test_fused_parameters_are_split_into_views_in_the_order_of_their_parts(qwen3_moe: Family) -> None:
    """gate is the upper half of each expert's rows, up the lower, and writing to a part writes to the whole."""
    gate_up = np.arange(8 * 80 * 48, dtype=np.float32).reshape(8, 80, 48)
    split = to_canonical(qwen3_moe, qwen3_moe.config, {"model.layers.1.mlp.experts.gate_up_proj": gate_up})
    assert 16 == len(split)
    np.testing.assert_array_equal(gate_up[3, :40], split["model.layers.1.mlp.experts.3.gate_proj.weight"])
    np.testing.assert_array_equal(gate_up[3, 40:], split["model.layers.1.mlp.experts.3.up_proj.weight"])
    assert all(np.shares_memory(gate_up, part) for part in split.values())


def test_other_tensors_pass_through_under_their_names(qwen3_moe: Family) -> None:
    """What is not fused, known or unknown, comes back as it is."""
    tensors = {name: np.zeros(2) for name in ("lm_head.weight", "x.model.layers.0.mlp.experts.down_proj", "odd")}
    assert tensors == to_canonical(qwen3_moe, qwen3_moe.config, tensors)


@pytest.mark.parametrize("shape", [(8, 80), (7, 80, 48), (8, 48, 80), (8, 79, 48)], ids=str)
def test_fused_parameters_of_another_shape_are_refused(qwen3_moe: Family, shape: tuple[int, ...]) -> None:
    """A parameter that cannot be split as the configuration says is an error that names it."""
    name = "model.layers.0.mlp.experts.gate_up_proj"
    with pytest.raises(ArtifactError, match=name):
        to_canonical(qwen3_moe, qwen3_moe.config, {name: np.zeros(shape)})


def test_fused_names_cover_what_splitting_them_gives(family: Family) -> None:
    """canonical_names and to_canonical agree, and give names that the table has."""
    table = tensor_table(family, family.config)
    for rule in family.fused:
        layer = max(tensor.layer or 0 for tensor in table.values() if tensor.expert is not None)
        name = rule.name.replace("{layer}", str(layer))
        names = canonical_names(family, family.config, name)
        rows = sum(table[part].shape[0] for part in names) // family.config[family.experts]
        array = np.zeros((family.config[family.experts], rows, table[names[0]].shape[1]))
        split = to_canonical(family, family.config, {name: array})
        assert set(names) == set(split)
        assert {part: table[part].shape for part in names} == {part: values.shape for part, values in split.items()}


def test_tied_embeddings_leave_the_head_out(family: Family) -> None:
    """With tie_word_embeddings the table loses the head and nothing else."""
    untied = tensor_table(family, config_of(family, tie_word_embeddings=False))
    tied = tensor_table(family, config_of(family, tie_word_embeddings=True))
    assert {"lm_head.weight"} == set(untied) - set(tied)
    assert tied.items() <= untied.items()


def test_biases_depend_on_the_configuration(family: Family) -> None:
    """Without attention_bias no attention bias is expected, with it some are."""
    without = set(tensor_table(family, config_of(family, attention_bias=False)))
    assert set() == {name for name in without if "self_attn" in name and name.endswith(".bias")}
    assert without < set(tensor_table(family, config_of(family, attention_bias=True)))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("all", (0, 1, 2)),
        ("from:1", (1, 2)),
        ("until:first", (0, 1)),
        ("from:zero", (0, 1, 2)),
        ("where:kinds=full", (1,)),
        ((2, 7), (2,)),
    ],
    ids=str,
)
def test_layer_sets(qwen3_moe: Family, spec: Any, expected: tuple[int, ...]) -> None:
    """A layer set is read from the configuration, and never reaches past its layers."""
    config = {"num_hidden_layers": 3, "first": 2, "zero": 0, "kinds": ["linear", "full", "linear"]}
    assert expected == layer_set(replace(qwen3_moe, layer_sets={"some": spec}), "some", config)


@pytest.mark.parametrize("spec", ["every", "from:lost", "where:kinds=full", "where:lost=1"])
def test_layer_sets_that_cannot_be_read_are_named(qwen3_moe: Family, spec: str) -> None:
    """An unknown word, a missing field and a list of another length are errors."""
    family = replace(qwen3_moe, layer_sets={"some": spec})
    with pytest.raises(CaseError, match="'some'"):
        layer_set(family, "some", {"num_hidden_layers": 3, "kinds": ["full"]})


def test_words_mean_roles(qwen3_moe: Family) -> None:
    """A word of `adaptable` is its roles; several are their union; an unknown one lists those that exist."""
    assert {"experts.gate", "experts.up"} == roles_of(qwen3_moe, ["experts.gate_up"])
    assert {"attention", "experts.down"} == roles_of(qwen3_moe, ["attention", "experts.down"])
    with pytest.raises(CaseError, match=r"'shared'.*attention, embedding, experts"):
        roles_of(qwen3_moe, ["shared"])
