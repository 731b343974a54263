"""What a training step may cost as layers are added, and what decoding may: read from programs, not from clocks.

How long the programs take to compile is for `bench` to measure. Suffixes: `L` layers, `B` batch, `T` time, `D` hidden,
`K` key-value heads, `d` dimensions of a head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from reference.jax_stacked import generation, training
from reference.jax_stacked.attention import KeyValues
from reference.jax_stacked.lora import LoraParam
from reference.jax_stacked.model import CausalLM, Output, shapes
from tests.reference.jax_stacked.tiny import all_room, config_of, model_of

FAMILIES = ("qwen3", "qwen3_moe", "deepseek_v3")
"""Dense, sparse, and both with latent attention."""
NUM_LAYERS = (4, 8, 16, 32)
NUM_ROWS, NUM_TOKENS = 4, 64
ROOM = all_room(num_slots=2, max_rank=4)
FLOAT_BYTES = 4
QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""A fifth of the time to compile. Memory is laid out before the code is made that these change."""
BATCH = training.Batch(
    *(jnp.asarray(np.random.default_rng(0).integers(4, 160, (NUM_ROWS, NUM_TOKENS)), jnp.int32),) * 2,
    jnp.arange(NUM_ROWS, dtype=jnp.int32) % 2,
)
"""Of two adapters."""


class Watched:
    """A model that remembers which keys and values it kept; with `keeps` it does not believe that it is training."""

    def __init__(self, model: CausalLM, *, keeps: bool) -> None:
        self.model, self.keeps = model, keeps
        self.kept: list[KeyValues] = []

    def __call__(self, tokens_BT: jax.Array, *, is_training: bool, **how: Any) -> Output:
        """The model's output."""
        output = self.model(tokens_BT, is_training=is_training and not self.keeps, **how)
        self.kept = output.kept
        return output


class Variant(NamedTuple):
    """One way to compute a gradient."""

    family: str
    num_layers: int = 4
    checkpointing: bool = True
    keeps: bool = False
    """True: keys and values are kept, and handed back beside the gradient."""
    head_dim: int | None = None
    """None: the family's own."""


def gradient_of(variant: Variant) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The gradient of a model's adapters, nothing else with it; and the shapes of its arguments."""
    changes = {} if variant.head_dim is None else {"head_dim": variant.head_dim}
    model = shapes(config_of(variant.family, num_hidden_layers=variant.num_layers, **changes), lora=ROOM)
    graph, factors, rest = nnx.split(model, LoraParam, ...)

    def loss(factors: nnx.State, rest: nnx.State, batch: training.Batch) -> tuple[jax.Array, list[KeyValues]]:
        watched = Watched(nnx.merge(graph, factors, rest), keeps=variant.keeps)
        losses_B, _ = training.sequence_losses(watched, batch, checkpointing=variant.checkpointing)
        return losses_B.sum(), watched.kept

    return jax.grad(loss, has_aux=True), (factors, rest, BATCH)


@cache
def compiled(variant: Variant) -> Any:
    """`gradient_of`, compiled once for all tests."""
    gradient, arguments = gradient_of(variant)
    return jax.jit(gradient).lower(*arguments).compile(QUICKLY)


def scratch_bytes(variant: Variant) -> int:
    """What the gradient needs beside its arguments and results, as XLA has laid it out."""
    return int(compiled(variant).memory_analysis().temp_size_in_bytes)


def scratch_of_a_layer(variant: Variant) -> float:
    """By how many bytes scratch memory grows with each layer: the least-squares line through all of `NUM_LAYERS`."""
    sizes = [scratch_bytes(variant._replace(num_layers=num_layers)) for num_layers in NUM_LAYERS]
    return float(np.polyfit(NUM_LAYERS, sizes, 1)[0])


def layer_input_bytes(family: str) -> int:
    """Of what enters a layer: (B, T, D), float32."""
    return NUM_ROWS * NUM_TOKENS * config_of(family).hidden_size * FLOAT_BYTES


def scans(jaxpr: Any) -> Iterator[Any]:
    """Every scan in a program, however deep."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        for parameter in jax.tree.leaves(equation.params, is_leaf=lambda node: hasattr(node, "eqns")):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from scans(inner)


def collected(scan: Any) -> list[tuple[int, ...]]:
    """The shapes of what a scan collects from each of its turns."""
    return [variable.aval.shape for variable in scan.outvars[scan.params["num_carry"] :]]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_is_one_program_whatever_the_number_of_layers(family: str, checkpointing: bool) -> None:
    """Lowered for 4 layers and for 48 it is the same text but for numbers: so the compiler has the same to do."""
    texts = {}
    for num_layers in (4, 48):
        model = shapes(config_of(family, num_hidden_layers=num_layers), lora=ROOM)
        graph, factors, rest = nnx.split(model, LoraParam, ...)
        before = jax.eval_shape(training.no_gradients, model)
        step = training._accumulate.lower(graph, factors, rest, BATCH, before, checkpointing)
        texts[num_layers] = step.as_text()

    assert len(texts[4].splitlines()) == len(texts[48].splitlines())
    assert re.sub(r"\d+", "#", texts[4]) == re.sub(r"\d+", "#", texts[48])
    assert texts[4] != texts[48]


@pytest.mark.parametrize("family", FAMILIES)
def test_with_checkpointing_a_layer_costs_its_input(family: str) -> None:
    """Scratch memory of a gradient grows by (B, T, D) with each layer; without checkpointing by far more."""
    variant, expected = Variant(family), layer_input_bytes(family)

    assert scratch_of_a_layer(variant) == pytest.approx(expected, rel=0.02)
    few, many = (scratch_bytes(Variant(family, number, checkpointing=False)) for number in NUM_LAYERS[:2])
    assert (many - few) / (NUM_LAYERS[1] - NUM_LAYERS[0]) > 10 * expected


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_changes_no_gradient(family: str) -> None:
    """Computed again is computed as before, to the last digits; and no factor's gradient is zero."""
    model = model_of(config_of(family, num_hidden_layers=4), lora=ROOM, fill=True)
    _, factors, rest = nnx.split(model, LoraParam, ...)
    expected, got = (
        dict(nnx.to_flat_state(compiled(Variant(family, checkpointing=flag))(factors, rest, BATCH)[0]))
        for flag in (False, True)
    )

    assert expected.keys() == got.keys()
    for path, gradient in expected.items():
        values, others = (np.asarray(variable.get_value(), np.float64) for variable in (gradient, got[path]))
        assert np.linalg.norm(values) > 0, path
        assert np.linalg.norm(others - values) <= 1e-6 * np.linalg.norm(values), path


@pytest.mark.parametrize("checkpointing", [False, True])
def test_training_has_no_room_for_keys_and_values(checkpointing: bool) -> None:
    """Keeping them costs their size; not keeping them, with checkpointing, costs the same whatever their size."""
    without, keeping = (Variant("qwen3", checkpointing=checkpointing, keeps=keeps) for keeps in (False, True))
    attention: Any = config_of("qwen3").attention
    kept_bytes = 2 * 4 * NUM_ROWS * attention.num_kv_heads * NUM_TOKENS * attention.head_dim * FLOAT_BYTES
    memory = [compiled(variant).memory_analysis() for variant in (without, keeping)]
    sizes = [each.temp_size_in_bytes + each.output_size_in_bytes for each in memory]

    assert sizes[1] - sizes[0] >= kept_bytes
    if checkpointing:
        wide = without._replace(head_dim=4 * attention.head_dim)
        assert scratch_of_a_layer(wide) == pytest.approx(scratch_of_a_layer(without), rel=0.02)


@pytest.mark.parametrize("family", FAMILIES)
def test_training_collects_no_keys_and_values(family: str) -> None:
    """In training the scan over layers collects nothing; for a gradient with checkpointing, what enters each layer."""
    model = shapes(config_of(family, num_hidden_layers=4), lora=ROOM)
    graph, state = nnx.split(model)
    gradient, arguments = gradient_of(Variant(family))

    def forward(state: nnx.State, *, is_training: bool) -> jax.Array:
        return nnx.merge(graph, state)(BATCH.tokens_BT, is_training=is_training).logits_BTV

    def collected_by(function: Callable[..., Any], *arguments: Any) -> list[list[tuple[int, ...]]]:
        return [collected(scan) for scan in scans(jax.make_jaxpr(function)(*arguments).jaxpr)]

    runs = [stack.num_layers for stack in model.model.layers.stacks]
    assert [[]] * len(runs) == collected_by(partial(forward, is_training=True), state)
    assert [2] * len(runs) == [len(each) for each in collected_by(partial(forward, is_training=False), state)]
    # Ahead first, then back through the layers.
    ahead = collected_by(gradient, *arguments)[: len(runs)]
    assert [[(num_layers, NUM_ROWS, NUM_TOKENS, model.config.hidden_size)] for num_layers in runs] == ahead


class Decoding(NamedTuple):
    """What became of a cache, and what XLA says of the program that it was given to."""

    cache: list[jax.Array]
    memory: Any

    @property
    def cache_bytes(self) -> int:
        """Keys and values of all layers."""
        return sum(array.nbytes for array in self.cache)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[Decoding]:
    """Every run of the decoding program that the test makes."""
    seen: list[Decoding] = []
    make = generation._decoder

    def watched(backend: str) -> Callable[..., Any]:
        decode = make(backend)

        def run(*arguments: Any) -> Any:
            nodes = jax.tree.leaves(arguments, is_leaf=lambda node: isinstance(node, KeyValues))
            cache = [array for node in nodes if isinstance(node, KeyValues) for array in node]
            seen.append(Decoding(cache, decode.lower(*arguments).compile().memory_analysis()))
            return decode(*arguments)

        return run

    monkeypatch.setattr(generation, "_decoder", watched)
    return seen


@pytest.mark.parametrize("family", ["qwen3", "deepseek_v3"])
def test_decoding_takes_the_cache_that_prefill_made(family: str, decodings: list[Decoding]) -> None:
    """The decoding loop has the cache where prefill left it: one for more tokens costs next to no scratch memory."""
    model = model_of(config_of(family, num_hidden_layers=4))
    for num_new in (3, 131):
        generation.generate(model, BATCH.tokens_BT, max_new_tokens=num_new, stop_tokens=())

    short, long = decodings
    for each in decodings:
        assert 8 == len(each.cache)
        assert each.memory.alias_size_in_bytes >= each.cache_bytes
        assert all(array.is_deleted() for array in each.cache)
    more_scratch = long.memory.temp_size_in_bytes - short.memory.temp_size_in_bytes
    assert more_scratch < (long.cache_bytes - short.cache_bytes) / 4
