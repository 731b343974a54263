"""Layers held as one: every variable is seen once under an ordinary path, writes go through, and a scan is a loop.

Suffixes: `L` layers, `B` batch, `T` time, `D` hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from reference.jax_stacked.attention import Positions
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.layer import DecoderLayer, Window
from reference.jax_stacked.lora import NORMAL, LoraParam, LoraScaling
from reference.jax_stacked.model import NO_LORA, CausalLM
from reference.jax_stacked.slots import Shape, fresh_adapter, targets_of
from reference.jax_stacked.stacked import ArrayRef, DecoderStacks, StackedDecoderLayers, unstack_state
from tests.reference.jax_stacked.tiny import all_room, config_of, drawn_model, model_of

TOKENS_BT = np.arange(4, 18).reshape(2, 7)

STACKS: dict[str, tuple[ModelConfig, list[tuple[int, int]]]] = {
    "one": (config_of("qwen3", num_hidden_layers=3), [(0, 3)]),
    "dense, then sparse": (config_of("deepseek_v3", num_hidden_layers=5, first_k_dense_replace=2), [(0, 2), (2, 3)]),
    "alternating": (
        config_of("qwen3_moe", num_hidden_layers=5, decoder_sparse_step=2),
        [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)],
    ),
    "runs": (
        config_of("qwen3_moe", num_hidden_layers=6, mlp_only_layers=[0, 3, 4]),
        [(0, 1), (1, 2), (3, 2), (5, 1)],
    ),
}
"""A configuration, and the first layer and number of layers of each stack that it makes."""


@pytest.fixture(scope="module", params=STACKS)
def built(request: pytest.FixtureRequest) -> tuple[CausalLM, list[tuple[int, int]]]:
    """A model of each kind, with room for adapters in every module; and its stacks."""
    config, runs = STACKS[request.param]
    return model_of(config, lora=all_room(num_slots=2, max_rank=3), fill=True), runs


def num_values(model: nnx.Module) -> int:
    """Numbers in all variables."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))


def test_layers_of_one_shape_are_one_stack(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """A run of neighbours each; their numbers in the model follow each other."""
    model, runs = built

    assert runs == [(stack.first_layer, stack.num_layers) for stack in model.model.layers.stacks]
    assert model.config.num_layers == sum(count for _, count in runs)
    for stack in model.model.layers.stacks:
        for leaf in jax.tree.leaves(nnx.state(stack)):
            assert stack.num_layers == leaf.shape[0]


def test_every_variable_is_there_once(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """Under string paths without a trace of stacks; the views hold all numbers of the model, each another part."""
    model, _ = built
    views = unstack_state(model)

    assert views
    for path in views:
        assert all(type(part) is str for part in path), path
        assert not {"_stacked", "stacks"} & set(path), path
    assert num_values(model) == sum(int(np.prod(view.shape)) for view in views.values())
    places = {(id(view.variable), view.layer) for view in views.values()}
    assert len(views) == len(places)
    # Whole variables are not there beside their layers.
    for variable in {id(view.variable) for view in views.values()}:
        layers = [layer for other, layer in places if other == variable]
        assert layers == [None] or None not in layers


def test_layers_are_numbered_as_in_the_model(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """Each from the first to the last has its own variables; sparse ones have experts and dense ones a plain MLP."""
    model, _ = built
    paths = [".".join(path) for path in unstack_state(model, nnx.Param)]
    numbers = {int(found[1]) for path in paths if (found := re.match(r"model\.layers\.(\d+)\.", path))}

    assert set(range(model.config.num_layers)) == numbers
    for number, sparse in enumerate(model.config.sparse):
        held = {path.removeprefix(f"model.layers.{number}.") for path in paths if f".layers.{number}." in path}
        assert "self_attn.o_proj.kernel" in held
        assert sparse == ("mlp.experts.down_proj.kernel" in held)
        assert sparse != ("mlp.down_proj.kernel" in held)


def test_kinds_are_told_apart(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """Weights, factors, scalings and windows are asked for by type, and are all there is."""
    model, _ = built
    by_kind = [set(unstack_state(model, kind)) for kind in (nnx.Param, LoraParam, LoraScaling, Window)]

    assert all(by_kind)
    assert set(unstack_state(model)) == set.union(*by_kind)
    assert len(unstack_state(model)) == sum(len(paths) for paths in by_kind)


def test_a_view_is_its_layers_part(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """It reads what the layer, taken out of the stack, has under that path: in values, shape and dtype."""
    model, _ = built
    views = unstack_state(model)
    for number, layer in enumerate(model.model.layers):
        for entries, variable in nnx.to_flat_state(nnx.state(layer)):
            view = views[("model", "layers", str(number), *map(str, entries))]
            np.testing.assert_array_equal(variable.get_value(), view.value)
            assert (variable.get_value().shape, variable.get_value().dtype) == (view.shape, view.dtype)


class Wrapped(nnx.Module):
    """A model within another one."""

    def __init__(self, model: nnx.Module) -> None:
        self.policy = model


class Elsewhere(nnx.Module):
    """Stacks under other names: two of one kind, one alone, one in a list of another name."""

    def __init__(self, make: Callable[[nnx.Rngs], DecoderLayer]) -> None:
        key = jax.random.key(0)
        self.encoder = DecoderStacks([make, make], key)
        self.tail = StackedDecoderLayers(make, 2, 2, key)
        self.heads = nnx.List([StackedDecoderLayers(make, 4, 1, key)])
        self.scale = nnx.Param(jnp.ones(3))


def test_stacks_are_found_wherever_the_model_is(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """Within another module there are the same views, with its name before their paths."""
    model, _ = built

    inside, outside = unstack_state(model), unstack_state(Wrapped(model))

    assert [("policy", *path) for path in inside] == list(outside)
    assert [(id(view.variable), view.layer) for view in inside.values()] == [
        (id(view.variable), view.layer) for view in outside.values()
    ]


def test_stacks_are_found_by_their_type() -> None:
    """Under any attribute, alone or in a list; only our own list of stacks is left out of the paths."""
    config = config_of("qwen3")
    module = Elsewhere(
        lambda rngs: DecoderLayer(config, sparse=False, lora=NO_LORA, rngs=rngs, dtype=jnp.dtype(jnp.float32))
    )

    norms = {path[:-2] for path in unstack_state(module) if path[-2:] == ("input_layernorm", "weight")}

    assert {("encoder", "0"), ("encoder", "1"), ("tail", "2"), ("tail", "3"), ("heads", "0", "4")} == norms
    assert {("scale",)} == {path for path in unstack_state(module) if len(path) == 1}
    assert num_values(module) == sum(int(np.prod(view.shape)) for view in unstack_state(module).values())


KERNEL = ("mlp", "experts", "gate_up_proj", "kernel")


@pytest.fixture
def deepseek() -> CausalLM:
    """Layers 0 and 1 dense, 2 to 4 sparse."""
    return model_of(STACKS["dense, then sparse"][0])


def test_a_write_goes_through_to_one_layer(deepseek: CausalLM) -> None:
    """The model's variable, and every view of it, have the new values in that layer and the old in the others."""
    views = unstack_state(deepseek)
    mine, others = (
        views[("model", "layers", "3", *KERNEL)],
        [views[("model", "layers", str(n), *KERNEL)] for n in (2, 4)],
    )
    before = [np.array(view.value) for view in (mine, *others)]
    new = np.random.default_rng(0).normal(size=mine.shape).astype(np.float32)

    mine.write(new)

    np.testing.assert_array_equal(new, mine.value)
    np.testing.assert_array_equal(new, unstack_state(deepseek)[("model", "layers", "3", *KERNEL)].value)
    stack = deepseek.model.layers.stacks[1]
    np.testing.assert_array_equal(new, stack._stacked.mlp.experts.gate_up_proj.kernel[...][1])
    np.testing.assert_array_equal(new, stack.layer(1).mlp.experts.gate_up_proj.kernel[...])
    for view, held in zip(others, before[1:], strict=True):
        np.testing.assert_array_equal(held, view.value)
    assert not np.array_equal(before[0], new)


def test_a_part_is_written_alone(deepseek: CausalLM) -> None:
    """With an index, the rest of the layer stays."""
    view = unstack_state(deepseek)[("model", "layers", "2", *KERNEL)]
    before = np.array(view.value)
    new = np.full((view.shape[1], 5), 7.0, np.float32)

    view.write(new, (3, slice(None), slice(10, 15)))

    expected = before.copy()
    expected[3, :, 10:15] = 7.0
    np.testing.assert_array_equal(expected, view.value)


def test_a_variable_that_is_not_stacked_is_written_too(deepseek: CausalLM) -> None:
    """Its view has no layer."""
    view = unstack_state(deepseek)[("model", "norm", "weight")]

    view.write(np.full(view.shape, 3.0))

    assert view.layer is None
    np.testing.assert_array_equal(np.full(view.shape, 3.0, np.float32), deepseek.model.norm.weight[...])


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((1,), ()),
        ((), ()),
        ((8, 48, 79), ()),
        ((48, 8, 80), ()),
        ((1, 8, 48, 80), ()),
        ((48, 80), (slice(0, 2),)),
        ((1, 48, 80), (0,)),
        ((48,), (0,)),
    ],
    ids=str,
)
def test_a_write_of_another_shape_is_refused(
    deepseek: CausalLM, shape: tuple[int, ...], index: tuple[object, ...]
) -> None:
    """Nothing is broadcast, and nothing has changed."""
    view = unstack_state(deepseek)[("model", "layers", "4", *KERNEL)]
    assert (8, 48, 80) == view.shape
    before = np.array(view.value)

    with pytest.raises(ValueError, match=re.escape(f"cannot write {shape} into a place of shape")):
        view.write(np.zeros(shape, np.float32), index)

    np.testing.assert_array_equal(before, view.value)


def test_a_write_keeps_the_dtype() -> None:
    """A variable of bfloat16 stays one, and holds what it can of the values."""
    variable = nnx.Param(jnp.zeros((2, 3), jnp.bfloat16))

    ArrayRef(variable, 1).write(np.full(3, 1.001, np.float32))

    assert jnp.bfloat16 == variable.get_value().dtype
    np.testing.assert_array_equal([[0, 0, 0], [1, 1, 1]], variable.get_value().astype(jnp.float32))


def std_of(model: CausalLM, *suffix: str) -> list[float]:
    """The standard deviation of a weight in each layer."""
    return [float(np.std(view.value)) for path, view in unstack_state(model).items() if path[-len(suffix) :] == suffix]


DRAWN = (("self_attn", "o_proj", "kernel"), ("mlp", "gate", "kernel"), KERNEL, ("experts", "down_proj", "kernel"))


@pytest.mark.parametrize("num_experts", [4, 32])
@pytest.mark.parametrize("num_layers", [2, 16])
def test_initial_weights_do_not_depend_on_how_many_there_are(num_layers: int, num_experts: int) -> None:
    """In every layer each has the configuration's standard deviation and mean 0, whatever the layers and experts."""
    config = config_of(
        "qwen3_moe", num_hidden_layers=num_layers, num_experts=num_experts, num_local_experts=num_experts,
        initializer_range=0.05,
    )  # fmt: skip
    model = drawn_model(config)

    for suffix in DRAWN:
        stds = std_of(model, *suffix)
        assert num_layers == len(stds)
        size = min(view.value.size for path, view in unstack_state(model).items() if path[-len(suffix) :] == suffix)
        # Five times the spread of a standard deviation of so many draws.
        np.testing.assert_allclose(stds, 0.05, rtol=5 / np.sqrt(2 * size), err_msg=".".join(suffix))


def test_initial_weights_of_layers_differ() -> None:
    """Layers, stacks and matrices are drawn apart, and a seed gives the same again."""
    config = STACKS["dense, then sparse"][0]
    model, again, other = (drawn_model(config, seed=seed) for seed in (1, 1, 2))
    kernels = [
        np.asarray(view.value).ravel()[:50] for path, view in unstack_state(model).items() if path[-1] == "kernel"
    ]

    assert len(kernels) > 30
    assert len(kernels) == len({kernel.tobytes() for kernel in kernels})
    for path, view in unstack_state(model).items():
        np.testing.assert_array_equal(view.value, unstack_state(again)[path].value)
        if path[-1] in ("kernel", "embedding"):
            assert not np.array_equal(view.value, unstack_state(other)[path].value), path


@pytest.mark.parametrize("num_experts", [4, 32])
@pytest.mark.parametrize("num_layers", [2, 16])
def test_fresh_adapters_do_not_depend_on_how_many_there_are(num_layers: int, num_experts: int) -> None:
    """A of every module is uniform within 1/sqrt(in), in each layer and expert; B is zero, so that the delta is."""
    config = config_of(
        "qwen3_moe", num_hidden_layers=num_layers, num_experts=num_experts, num_local_experts=num_experts
    )
    targets = {
        path: target
        for path, target in targets_of(jax_abstract(config)).items()
        if path.endswith(("q_proj", "experts.gate_up_proj", "experts.down_proj"))
    }

    adapter = fresh_adapter(targets, lambda _path: Shape(16, 32.0), seed=3)

    assert 3 * num_layers == len(adapter.factors)
    for path, factors in adapter.factors.items():
        width = targets[path].in_features
        each = factors.A.reshape(-1, factors.A.shape[-2] * width)
        np.testing.assert_allclose(
            each.std(axis=1), 1 / np.sqrt(3 * width), rtol=5 / np.sqrt(each.shape[1]), err_msg=path
        )
        assert np.abs(factors.A).max() <= 1 / np.sqrt(width)
        assert not factors.B.any()
    assert all(not np.array_equal(one.A, other.A) for one, other in pairwise(_alike(adapter.factors)))


def _alike(factors: dict[str, object]) -> list[object]:
    return [each for path, each in factors.items() if path.endswith("q_proj")]


def test_a_fresh_embedding_begins_the_other_way_round() -> None:
    """A zero and B normal, as PEFT begins one; random ones are random in both."""
    targets = {path: target for path, target in targets_of(jax_abstract(config_of("qwen3"))).items() if "embed" in path}
    shape = Shape(4, 8.0)

    [zero] = fresh_adapter(targets, lambda _path: shape).factors.values()
    [drawn] = fresh_adapter(targets, lambda _path: shape, std_B=0.02).factors.values()

    assert not zero.A.any()
    assert 0.7 < zero.B.std() < 1.3
    assert drawn.A.all()
    assert 0.015 < drawn.B.std() < 0.025


def jax_abstract(config: ModelConfig) -> CausalLM:
    """A model of shapes alone."""
    shapes: CausalLM = nnx.eval_shape(lambda: CausalLM(config))
    return shapes


def test_a_scan_is_a_loop(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """The scan's output, keys, values and traces are those of the layers run one after the other."""
    model, _ = built
    rngs = np.random.default_rng(0)
    x_BTD = jnp.asarray(rngs.normal(size=(2, 7, model.config.hidden_size)), jnp.float32)
    positions: Positions = model.positions(jnp.asarray(TOKENS_BT), None, jnp.asarray(1))

    scanned_BTD, kept, traces = model.model.layers(x_BTD, positions, is_training=False, checkpointing=False, trace=True)
    keys = [part for stack in kept for part in stack.keys_BKSd]
    values = [part for stack in kept for part in stack.values_BKSd]
    states = [part for stack in traces for part in stack.layer_BTD]

    assert model.config.num_layers == len(keys) == len(values) == len(states)
    for number, layer in enumerate(model.model.layers):
        x_BTD, layer_kept, _ = layer(x_BTD, positions)
        np.testing.assert_allclose(states[number], x_BTD, atol=2e-6)
        np.testing.assert_allclose(keys[number], layer_kept.keys_BKSd, atol=2e-6)
        np.testing.assert_allclose(values[number], layer_kept.values_BKSd, atol=2e-6)
    np.testing.assert_allclose(scanned_BTD, x_BTD, atol=2e-6)


def test_training_keeps_no_keys_and_values(built: tuple[CausalLM, list[tuple[int, int]]]) -> None:
    """Neither does the scan give any, nor the model; without `is_training` there are those of every layer."""
    model, runs = built
    tokens_BT = jnp.asarray(TOKENS_BT)

    trained, read = (
        nnx.eval_shape(lambda is_training=is_training: model(tokens_BT, is_training=is_training))
        for is_training in (True, False)
    )

    assert [] == trained.kept
    assert [count for _, count in runs] == [stack.keys_BKSd.shape[0] for stack in read.kept]


def test_checkpointing_changes_no_output(deepseek: CausalLM) -> None:
    """It is about what the backward pass keeps."""
    tokens_BT = jnp.asarray(TOKENS_BT)

    plain, checkpointed = (
        deepseek(tokens_BT, is_training=True, checkpointing=checkpointing).logits_BTV for checkpointing in (False, True)
    )

    np.testing.assert_allclose(plain, checkpointed, atol=1e-6)


def test_normal_is_what_weights_are_drawn_from() -> None:
    """A standard deviation that is asked for is the one that is drawn, whatever the shape: no fan-in, no fan-out."""
    for shape in ((400, 50), (50, 400), (4, 100, 50)):
        drawn = NORMAL(0.3)(jax.random.key(0), shape, jnp.float32)
        assert 0.3 == pytest.approx(float(jnp.std(drawn)), rel=0.03)
