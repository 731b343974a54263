"""Checkpoints in and out, bit for bit, in every layout; strict about names and shapes; a tensor at a time."""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from harness.checkpoints.safetensors_file import (
    INDEX_FILE,
    TensorEntry,
    read_bytes,
    read_index,
    read_tensor,
    round_to,
    write_checkpoint,
)
from harness.errors import ArtifactError
from reference.jax_stacked import checkpoints
from reference.jax_stacked.checkpoints import NOT_WEIGHTS, Place, load_model, load_weights, places, save_model
from reference.jax_stacked.families import load_config
from reference.jax_stacked.model import CausalLM
from reference.jax_stacked.stacked import unstack_state
from tests.reference.jax_stacked.tiny import FAMILIES, base_of, model_of

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
Tensors = dict[str, tuple[str, np.ndarray]]


def stored(directory: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Every tensor of a checkpoint: dtype, shape and bytes."""
    return {name: (entry.dtype, entry.shape, read_bytes(entry)) for name, entry in read_index(directory).items()}


def saved(model: CausalLM, directory: Path, **options: Any) -> Path:
    """`directory`, with `model` saved into it beside what its own base says."""
    directory.mkdir(parents=True)
    save_model(model, directory, **options)
    return directory


def rewritten(base: Path, directory: Path, change: Callable[[Tensors], object]) -> Path:
    """A copy of a checkpoint after `change` of its tensors."""
    tensors = {name: (entry.dtype, read_tensor(entry)) for name, entry in read_index(base).items()}
    change(tensors)
    directory.mkdir()
    (directory / "config.json").write_bytes((base / "config.json").read_bytes())
    write_checkpoint(directory, tensors, shard_bytes=None)
    return directory


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path, family: str, dtype: str) -> None:
    """As it was: names, dtypes, shapes and bytes, in shards or one file, and everything that is no weight."""
    base = base_of(tmp_path / "base", family, dtype=dtype, shard_bytes=50_000)

    model = load_model(base, dtype=DTYPES[dtype])
    whole = saved(model, tmp_path / "whole", base=base)
    shards = saved(model, tmp_path / "shards", base=base, shard_bytes=40_000)

    assert stored(base) == stored(whole) == stored(shards)
    assert len(set(stored(base).values())) == len(stored(base))  # so that one cannot stand for another
    assert not (whole / INDEX_FILE).exists()
    files = sorted(shards.glob("*.safetensors"))
    assert len(files) >= 3
    # A shard is no larger than asked for, but for its header, and for a tensor that is larger by itself.
    assert all(file.stat().st_size < 40_000 + 8_000 for file in files)
    for name in NOT_WEIGHTS:
        if (base / name).exists():
            assert (base / name).read_bytes() == (whole / name).read_bytes()
    assert {"config.json", "generation_config.json"} <= {path.name for path in whole.iterdir()}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", ["qwen3_moe", "glm4_moe", "deepseek_v3"])
def test_fused_experts_are_the_same_experts(tmp_path: Path, family: str, dtype: str) -> None:
    """One tensor a layer holds gate's rows, then up's, of every expert; loaded and saved one by one it is the base."""
    base = base_of(tmp_path / "base", family, dtype=dtype)
    model = load_model(base, dtype=DTYPES[dtype])

    fused = saved(model, tmp_path / "fused", base=base, fused=True, shard_bytes=100_000)
    again = saved(load_model(fused, dtype=DTYPES[dtype]), tmp_path / "again", base=fused)

    apart, together = read_index(base), read_index(fused)
    held = {name for name in apart if ".experts." in name}
    layers = {name.partition(".experts.")[0] for name in held}
    assert layers
    assert {name for name in apart if name not in held} | {
        f"{layer}.experts.{part}" for layer in layers for part in ("gate_up_proj", "down_proj")
    } == set(together)
    for layer in layers:
        for expert in range(8):
            gate, up, down = (
                read_tensor(apart[f"{layer}.experts.{expert}.{part}_proj.weight"]) for part in ("gate", "up", "down")
            )
            np.testing.assert_array_equal(
                np.concatenate([gate, up]), read_tensor(together[f"{layer}.experts.gate_up_proj"])[expert]
            )
            np.testing.assert_array_equal(down, read_tensor(together[f"{layer}.experts.down_proj"])[expert])
    assert stored(base) == stored(again)


@pytest.mark.parametrize("family", ["glm4_moe", "deepseek_v3"])
def test_a_correction_bias_stays_float32(tmp_path: Path, family: str) -> None:
    """In a model of bfloat16 too: in memory, to the bit, and in the file; all else is bfloat16."""
    base = base_of(tmp_path / "base", family, dtype="bfloat16")

    model = load_model(base, dtype=jnp.bfloat16)

    wide = set()
    for path, view in unstack_state(model, nnx.Param).items():
        if view.dtype == jnp.float32:
            wide.add(path[-1])
            name = ".".join(path)
            np.testing.assert_array_equal(read_tensor(read_index(base)[name]), view.value)
            assert not np.array_equal(round_to("bfloat16", np.asarray(view.value)), view.value)
    assert {"e_score_correction_bias"} == wide
    entries = read_index(saved(model, tmp_path / "saved", base=base))
    assert {"F32": {"e_score_correction_bias"}} == {
        dtype: {name.rpartition(".")[2] for name, entry in entries.items() if entry.dtype == dtype}
        for dtype in {entry.dtype for entry in entries.values()} - {"BF16"}
    }


def test_loading_rounds_once(tmp_path: Path) -> None:
    """A float32 checkpoint in a model of bfloat16 is rounded to nearest; a bfloat16 one in float32 is exact."""
    wide, narrow = (base_of(tmp_path / dtype, "qwen3", dtype=dtype) for dtype in DTYPES)

    rounded, exact = load_model(wide, dtype=jnp.bfloat16), load_model(narrow)

    for name, place in places(rounded, fused=False).items():
        np.testing.assert_array_equal(round_to("bfloat16", read_tensor(read_index(wide)[name])), place.read())
    for name, place in places(exact, fused=False).items():
        np.testing.assert_array_equal(read_tensor(read_index(narrow)[name]), place.read())


@pytest.mark.parametrize("fused", [False, True], ids=["per_expert", "fused"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_variable_is_loaded(tmp_path: Path, family: str, fused: bool) -> None:
    """A model full of other weights has none of them left: experts, biases, norms and all."""
    base = base_of(tmp_path / "base", family)
    if fused:
        base = saved(load_model(base), tmp_path / "fused", base=base, fused=True)
    model = model_of(load_config(base), seed=5)
    before = {path: np.array(view.value) for path, view in unstack_state(model, nnx.Param).items()}

    load_weights(model, base)

    expected = unstack_state(load_model(base), nnx.Param)
    for path, view in unstack_state(model, nnx.Param).items():
        assert (before[path] == view.value).mean() < 0.05, path
        np.testing.assert_array_equal(expected[path].value, view.value)


def test_a_tied_head_is_not_stored(tmp_path: Path) -> None:
    """Neither in the base nor by us; one that is stored is read if it is the embedding."""
    base = base_of(tmp_path / "base", "qwen3", tie_word_embeddings=True)
    both = rewritten(base, tmp_path / "both", lambda held: held.update({HEAD: held[EMBEDDING]}))
    assert HEAD in read_index(both)

    for number, source in enumerate((base, both)):
        model = load_model(source)
        assert model.lm_head is None
        assert stored(base) == stored(saved(model, tmp_path / f"saved{number}", base=source))


HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def test_a_tied_head_with_values_of_its_own_is_refused(tmp_path: Path) -> None:
    """One tensor cannot be both, and neither is dropped in silence."""
    base = base_of(tmp_path / "base", "qwen3", tie_word_embeddings=True)

    def untie(held: Tensors) -> None:
        held[HEAD] = ("F32", held[EMBEDDING][1] + np.float32(1e-3))

    with pytest.raises(ArtifactError, match=r"lm_head\.weight: the head is tied"):
        load_model(rewritten(base, tmp_path / "untied", untie))


def _without(name: str) -> Callable[[Tensors], object]:
    return lambda held: held.pop(name)


def _with(name: str, like: str) -> Callable[[Tensors], object]:
    return lambda held: held.update({name: held[like]})


def _transposed(name: str) -> Callable[[Tensors], object]:
    return lambda held: held.update({name: (held[name][0], np.ascontiguousarray(held[name][1].T))})


def _renumbered(before: str, after: str) -> Callable[[Tensors], object]:
    def change(held: Tensors) -> None:
        for name in [name for name in held if before in name]:
            held[name.replace(before, after)] = held.pop(name)

    return change


LAYER = "model.layers.1.mlp.experts"
WRONG: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "missing": (
        _without("model.layers.1.self_attn.k_norm.weight"),
        r"1 tensors are missing; got model\.layers\.1\.self_attn\.k_norm\.weight$",
    ),
    "missing bias": (
        _without("model.layers.0.self_attn.q_proj.bias"),
        r"1 tensors are missing; got model\.layers\.0\.self_attn\.q_proj\.bias$",
    ),
    "missing router": (
        _without("model.layers.0.mlp.gate.weight"),
        r"1 tensors are missing; got .*\.mlp\.gate\.weight$",
    ),
    "one projection of one expert": (
        _without(f"{LAYER}.5.up_proj.weight"),
        r"1 tensors are missing; got model\.layers\.1\.mlp\.experts\.5\.up_proj\.weight$",
    ),
    "one expert": (
        _renumbered(".layers.1.mlp.experts.7.", ".other."),
        r"3 tensors are missing; got .*experts\.7\.down",
    ),
    "all experts": (_renumbered(".mlp.experts.", ".other."), r"48 tensors are missing; got .* and 43 more"),
    "head": (_without(HEAD), r"1 tensors are missing; got lm_head\.weight$"),
    "unknown": (
        _with("model.layers.0.self_attn.sinks", "model.norm.weight"),
        r"1 tensors have no place in the model; got model\.layers\.0\.self_attn\.sinks$",
    ),
    "a layer more": (
        _with("model.layers.2.input_layernorm.weight", "model.norm.weight"),
        r"1 tensors have no place in the model; got model\.layers\.2\.input_layernorm\.weight$",
    ),
    "an expert more": (
        _with(f"{LAYER}.8.up_proj.weight", f"{LAYER}.7.up_proj.weight"),
        r"1 tensors have no place in the model; got .*experts\.8\.up_proj\.weight$",
    ),
    "fused too": (
        _with("model.layers.0.mlp.experts.gate_up_proj", "model.norm.weight"),
        r"1 tensors have no place in the model; got .*experts\.gate_up_proj$",
    ),
    "transposed": (
        _transposed("model.layers.0.self_attn.o_proj.weight"),
        r"another shape .*; got model\.layers\.0\.self_attn\.o_proj\.weight \(64, 48\) instead of \(48, 64\)$",
    ),
    "transposed expert": (
        _transposed(f"{LAYER}.3.gate_proj.weight"),
        r"experts\.3\.gate_proj\.weight \(48, 40\) instead",
    ),
}


@pytest.fixture(scope="module")
def qwen3_moe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with experts one by one."""
    return base_of(tmp_path_factory.mktemp("qwen3_moe") / "base", "qwen3_moe")


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_missing_or_too_many_is_named(qwen3_moe: Path, tmp_path: Path, wrong: str) -> None:
    """By its stored name, whatever the experts' layout, and before anything is written."""
    change, message = WRONG[wrong]
    broken = rewritten(qwen3_moe, tmp_path / "broken", change)
    model = model_of(load_config(qwen3_moe))
    before = {path: np.array(view.value) for path, view in unstack_state(model).items()}

    with pytest.raises(ArtifactError, match=message) as raised:
        load_weights(model, broken)

    assert str(broken) in str(raised.value)
    for path, view in unstack_state(model).items():
        np.testing.assert_array_equal(before[path], view.value)


def test_a_tied_head_without_an_embedding_is_a_missing_embedding(tmp_path: Path) -> None:
    """The one tensor of a tied model is the embedding."""
    base = base_of(tmp_path / "base", "qwen3", tie_word_embeddings=True)
    renamed = rewritten(base, tmp_path / "renamed", _renumbered(EMBEDDING, HEAD))

    with pytest.raises(ArtifactError, match=r"1 tensors are missing; got model\.embed_tokens\.weight"):
        load_model(renamed)


def test_a_layer_of_the_configuration_that_is_not_stored_is_named(qwen3_moe: Path, tmp_path: Path) -> None:
    """A model that is deeper than its checkpoint is not left half empty."""
    deeper = rewritten(qwen3_moe, tmp_path / "deeper", lambda _held: None)
    config = json.loads((deeper / "config.json").read_text())
    (deeper / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))

    with pytest.raises(ArtifactError, match=r"tensors are missing; got model\.layers\.2\.input_layernorm\.weight"):
        load_model(deeper)


def test_missing_names_of_fused_experts_are_those_of_the_file(qwen3_moe: Path, tmp_path: Path) -> None:
    """Whoever has fused experts is told of fused ones."""
    fused = saved(load_model(qwen3_moe), tmp_path / "fused", base=qwen3_moe, fused=True)
    broken = rewritten(fused, tmp_path / "broken", _without(f"{LAYER}.gate_up_proj"))

    with pytest.raises(
        ArtifactError, match=r"1 tensors are missing; got model\.layers\.1\.mlp\.experts\.gate_up_proj$"
    ):
        load_model(broken)


class Alive:
    """How many of the arrays that it was shown are still there."""

    def __init__(self) -> None:
        self.references: list[weakref.ref[np.ndarray]] = []
        self.most = 0

    def see(self, array: np.ndarray) -> np.ndarray:
        """Count, with `array`."""
        self.references.append(weakref.ref(array))
        self.most = max(self.most, sum(reference() is not None for reference in self.references))
        return array


def test_loading_holds_one_tensor_at_a_time(qwen3_moe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stored tensor is read once, and given up before the next but one is read."""
    alive, read = Alive(), []

    def reading(entry: TensorEntry) -> np.ndarray:
        read.append(entry.name)
        return alive.see(read_tensor(entry))

    monkeypatch.setattr(checkpoints, "read_tensor", reading)
    load_model(qwen3_moe)

    assert sorted(read_index(qwen3_moe)) == sorted(read)
    assert len(read) > 60
    # jax may still be copying the one before.
    assert alive.most <= 2


@pytest.mark.parametrize("fused", [False, True], ids=["per_expert", "fused"])
@pytest.mark.parametrize("shard_bytes", [None, 30_000], ids=["whole", "shards"])
def test_saving_holds_one_tensor_at_a_time(
    qwen3_moe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard_bytes: int | None, fused: bool
) -> None:
    """Values are made when their turn to be written comes, and given up after it."""
    alive, read = Alive(), Place.read
    monkeypatch.setattr(Place, "read", lambda place: alive.see(np.array(read(place))))

    saved(load_model(qwen3_moe), tmp_path / "saved", base=qwen3_moe, fused=fused, shard_bytes=shard_bytes)

    assert len(read_index(tmp_path / "saved")) == len(alive.references)
    assert 1 == alive.most


def test_a_write_gives_up_the_array_it_replaces(qwen3_moe: Path) -> None:
    """So a stack of layers is never in memory twice."""
    model = load_model(qwen3_moe)
    place = places(model, fused=False)[f"{LAYER}.5.up_proj.weight"]
    before = place.view.variable.get_value()

    place.write(np.zeros(place.shape, np.float32))

    assert before.is_deleted()
    assert not place.read().any()


SQUARE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 32,
    "moe_intermediate_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
}
"""Every matrix is square, gate_up as a whole too: no shape tells a weight from its transpose."""


def test_no_weight_is_transposed_where_shapes_would_not_tell(tmp_path: Path) -> None:
    """Each module of a square model multiplies by the stored weight (out, in), and each expert by its own."""
    base = base_of(tmp_path / "base", "qwen3_moe", **SQUARE)
    weights = {name: read_tensor(entry) for name, entry in read_index(base).items()}
    layer = load_model(base).model.layers.stacks[0].layer(1)
    x_TD = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    x_1TD = jnp.asarray(x_TD)[None]

    for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
        prefix = f"model.layers.1.self_attn.{name}"
        expected = x_TD @ weights[f"{prefix}.weight"].T + weights[f"{prefix}.bias"]
        np.testing.assert_allclose(getattr(layer.self_attn, name)(x_1TD, None)[0], expected, atol=1e-5, err_msg=name)
    gate_TEF, up_TEF = (np.asarray(half[0]) for half in layer.mlp.experts.gate_up(x_1TD, None))
    for expert in range(8):
        gate, up, down = (weights[f"{LAYER}.{expert}.{part}_proj.weight"] for part in ("gate", "up", "down"))
        np.testing.assert_allclose(gate_TEF[:, expert], x_TD @ gate.T, atol=1e-5)
        np.testing.assert_allclose(up_TEF[:, expert], x_TD @ up.T, atol=1e-5)
        hidden_TEF = np.zeros((5, 8, 16), np.float32)
        hidden_TEF[:, expert] = x_TD[:, :16]
        got_1TD = layer.mlp.experts.down(jnp.asarray(hidden_TEF)[None], jnp.ones((1, 5, 8)), None)
        np.testing.assert_allclose(got_1TD[0], x_TD[:, :16] @ down.T, atol=1e-5)
    assert (32, 32) == weights["model.layers.1.self_attn.o_proj.weight"].shape


def test_names_are_escaped_nowhere(qwen3_moe: Path) -> None:
    """Every stored name is a path of the model's own variables: no family has a table of names."""
    names = set(places(load_model(qwen3_moe), fused=False))

    assert set(read_index(qwen3_moe)) == names
    assert all(re.fullmatch(r"[a-z0-9_.]+", name) for name in names)
