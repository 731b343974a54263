"""Tests of base checkpoints as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.checkpoints.naming import tensor_table
from harness.checkpoints.safetensors_file import read_bytes, read_index, read_tensor, round_to
from harness.records.cases import Family, SaveSpec

BaseOf = Callable[..., Path]
FILES = {
    "config.json", "generation_config.json", "model.safetensors",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
}  # fmt: skip


def stored(directory: Path) -> dict[str, bytes]:
    """Every tensor's bytes."""
    return {name: read_bytes(entry) for name, entry in read_index(directory).items()}


def test_a_base_holds_all_its_files_and_exactly_its_tensors(family: Family, base_of: BaseOf) -> None:
    """Names and shapes on disk are those of the family's table, and the files are those of a published model."""
    directory = base_of(family)
    config = json.loads((directory / "config.json").read_text())
    table = tensor_table(family, config)
    assert FILES == {path.name for path in directory.iterdir()}
    assert {name: tensor.shape for name, tensor in table.items()} == {
        name: entry.shape for name, entry in read_index(directory).items()
    }


def test_a_base_is_a_function_of_its_case(family: Family, base_of: BaseOf) -> None:
    """The same case gives the same bytes in every file; another seed changes every tensor and no other file."""
    first, again, reseeded = base_of(family), base_of(family), base_of(family, seed=2)
    contents = {path.name: path.read_bytes() for path in first.iterdir()}
    assert contents == {path.name: path.read_bytes() for path in again.iterdir()}
    others = {path.name: path.read_bytes() for path in reseeded.iterdir()}
    assert {"model.safetensors"} == {name for name in contents if contents[name] != others[name]}
    before, after = stored(first), stored(reseeded)
    assert [] == [name for name in before if before[name] == after[name]]


def test_a_tensor_depends_on_its_own_name_and_shape_alone(qwen3_moe: Family, base_of: BaseOf) -> None:
    """More layers or other experts leave every tensor that keeps its shape as it was, and others change."""
    small, large = stored(base_of(qwen3_moe)), stored(base_of(qwen3_moe, config={"num_hidden_layers": 3}))
    assert small.items() < large.items()
    wider = stored(base_of(qwen3_moe, config={"moe_intermediate_size": 24}))
    changed = {name for name in small if small[name] != wider[name]}
    assert {name for name in small if ".experts." in name} == changed


def test_sharding_changes_files_and_not_tensors(qwen3_moe: Family, base_of: BaseOf) -> None:
    """A layer's experts lie in several shards, whose number of experts is not the layer's."""
    sharded = base_of(qwen3_moe, save=SaveSpec(shard_bytes=40_000))
    assert stored(base_of(qwen3_moe)) == stored(sharded)
    layer = [entry for name, entry in read_index(sharded).items() if "layers.0.mlp.experts" in name]
    assert len({entry.path for entry in layer}) > 1


def test_every_tensor_is_worth_losing(family: Family, base_of: BaseOf) -> None:
    """No value is zero or what an initialisation would give, and no two tensors are alike."""
    tensors = {name: read_tensor(entry) for name, entry in read_index(base_of(family)).items()}
    for name, values in tensors.items():
        assert np.isfinite(values).all() and (values != 0).all() and (values != 1).all(), name
        assert values.size == 1 or values.std() > 0.01, name
        assert np.abs(values).max() < 8, name
    assert len(tensors) == len({values.tobytes() for values in tensors.values()})


def test_bfloat16_bases_are_rounded_but_for_what_stays_in_float32(family: Family, base_of: BaseOf) -> None:
    """Stored dtypes follow the case, except for buffers kept in float32, whose values bfloat16 could not hold."""
    full, half = read_index(base_of(family)), read_index(base_of(family, dtype="bfloat16"))
    assert {"F32"} == {entry.dtype for entry in full.values()}
    for name, entry in half.items():
        values = read_tensor(full[name])
        if name.endswith("e_score_correction_bias"):
            assert "F32" == entry.dtype
            np.testing.assert_array_equal(values, read_tensor(entry))
            assert (values != round_to("bfloat16", values)).any()
        else:
            assert "BF16" == entry.dtype
            np.testing.assert_array_equal(round_to("bfloat16", values), read_tensor(entry))


def test_tied_bases_store_one_tensor_less(qwen3_moe: Family, base_of: BaseOf) -> None:
    """A tied base has no head, and is otherwise the untied one."""
    untied, tied = stored(base_of(qwen3_moe)), stored(base_of(qwen3_moe, config={"tie_word_embeddings": True}))
    assert {"lm_head.weight"} == set(untied) - set(tied)
    assert tied.items() <= untied.items()


def test_the_generation_config_is_not_the_default_and_fits_the_model(family: Family, base_of: BaseOf) -> None:
    """Stop tokens are the configuration's, and sampling differs from transformers' defaults."""
    directory = base_of(family)
    config = json.loads((directory / "config.json").read_text())
    generation = json.loads((directory / "generation_config.json").read_text())
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert config[name] == generation[name]
    defaults = {"do_sample": False, "temperature": 1.0, "top_k": 50, "top_p": 1.0}
    assert [] == [name for name, value in defaults.items() if generation[name] == value]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_configuration_says_which_dtype_is_stored(qwen3_moe: Family, base_of: BaseOf, dtype: str) -> None:
    """config.json names the case's dtype and the family's architecture."""
    config = json.loads((base_of(qwen3_moe, dtype=dtype) / "config.json").read_text())
    assert (dtype, ["Qwen3MoeForCausalLM"]) == (config["dtype"], config["architectures"])
