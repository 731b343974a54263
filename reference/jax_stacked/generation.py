"""Greedy and seeded sampling, for prompts that are padded on the left.

One program fills the cache, a second makes tokens in a loop of its own. Within a step the layers run one after the
other, on slices that are taken before the loop begins (`unrolled`, once for any number of calls): so each layer's cache
is updated in place, and no weight is moved in a step. The first program's cache is given to the second.
Suffixes: `B` rows, `T` prompt tokens, `N` new tokens, `V` vocabulary, `S` kept positions, `L` layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from reference.jax_stacked.attention import KeyValues, Positions
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.layer import DecoderLayer
from reference.jax_stacked.lora import LoraSpec
from reference.jax_stacked.model import CausalLM
from reference.jax_stacked.rope import cos_sin

PADDED = -1
"""What stands behind a row's stop token."""
SMALL_PRODUCTS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""For the processor's compiler (jaxlib 0.10): without it every small product goes to a library that packs its matrix
anew each time. Measured on 8 layers of width 256 at batch 8: 2.2 instead of 3.1 ms a token."""


class Generated(NamedTuple):
    """New tokens, and by how much each was preferred."""

    tokens_BN: np.ndarray
    """Padded with -1 behind a row's stop token, which itself is there."""
    margins_BN: np.ndarray
    """Logit of the best token minus that of the second; 0 where padded."""


class Unrolled(NamedTuple):
    """A model whose layers have been taken apart for decoding: made by `unrolled`."""

    config: ModelConfig
    lora: LoraSpec
    graph: nnx.GraphDef
    state: nnx.State
    layers: list[tuple[nnx.GraphDef, nnx.State]]


class _State(NamedTuple):
    """What a step hands to the next."""

    step: Array
    token_B: Array
    done_B: Array
    kept: list[KeyValues]
    """A layer each."""
    tokens_BN: Array
    margins_BN: Array


def unrolled(model: CausalLM) -> Unrolled:
    """`model`, its layers taken apart as they are now: a second copy of them, made once for any number of calls."""
    graph, state = nnx.split(model)
    return Unrolled(model.config, model.lora, graph, state, _apart(graph, state))


def generate(
    model: CausalLM | Unrolled,
    prompts_BT: Array | np.ndarray,
    *,
    max_new_tokens: int,
    mask_BT: Array | np.ndarray | None = None,
    slots: Array | None = None,
    stop_tokens: Sequence[int] | None = None,
    temperature: float = 0.0,
    seed: int = 0,
) -> Generated:
    """Continue each prompt until a stop token (the configuration's by default) or `max_new_tokens`.

    `mask_BT` is False for padding, on the left only. Temperature 0 takes the best token; above, tokens are drawn, each
    row from a random stream of its own: one seed gives as many samples as there are rows, and a row does not depend on
    the others. Raises ValueError if a row is padded on the right or is nothing but padding, UsageError if there is no
    such slot.
    """
    prompts = jnp.asarray(prompts_BT, jnp.int32)
    mask = np.ones(prompts.shape, np.bool_) if mask_BT is None else np.asarray(mask_BT, np.bool_)
    if not mask[:, -1].all() or (np.diff(mask.astype(np.int8), axis=1) < 0).any():
        raise ValueError("prompts must be padded on the left, and hold a token each")
    config, lora, graph, state, layers = model if isinstance(model, Unrolled) else unrolled(model)
    lora.check(slots)
    stops = tuple(config.stop_tokens if stop_tokens is None else stop_tokens)
    logits_BV, kept = _prefill(graph, state, prompts, jnp.asarray(mask), slots, max_new_tokens)
    decode = _decoder(jax.default_backend())
    ended: _State = decode(
        graph, state, layers, kept, logits_BV, jnp.asarray(mask), slots, seed, temperature or 1.0,
        max_new_tokens, stops, temperature == 0.0,
    )  # fmt: skip
    return Generated(np.asarray(ended.tokens_BN), np.asarray(ended.margins_BN))


@partial(jax.jit, static_argnums=0)
def _apart(graph: nnx.GraphDef, state: nnx.State) -> list[tuple[nnx.GraphDef, nnx.State]]:
    model: CausalLM = nnx.merge(graph, state)
    layers = list(model.model.layers)
    for layer in layers:
        layer.for_decoding()
    return [nnx.split(layer) for layer in layers]


@partial(jax.jit, static_argnums=(0, 5))
def _prefill(
    graph: nnx.GraphDef, state: nnx.State, prompts_BT: Array, mask_BT: Array, slots: Array | None, num_more: int
) -> tuple[Array, list[KeyValues]]:
    """Logits of the last position, and each layer's keys and values with room for `num_more` positions."""
    model: CausalLM = nnx.merge(graph, state)
    output = model(prompts_BT, mask_BT=mask_BT, slots=slots)
    room = ((0, 0), (0, 0), (0, num_more), (0, 0))
    layers = [
        KeyValues(*(jnp.pad(part[index], room) for part in stack))
        for stack in output.kept
        for index in range(len(stack.keys_BKSd))
    ]
    return output.logits_BTV[:, -1], layers


@lru_cache
def _decoder(backend: str) -> Callable[..., Any]:
    """The second program, compiled with what suits the device."""
    options = SMALL_PRODUCTS if backend == "cpu" else None
    return jax.jit(_decode, static_argnums=(0, 9, 10, 11), donate_argnums=3, compiler_options=options)


def _decode(
    graph: nnx.GraphDef,
    state: nnx.State,
    apart: list[tuple[nnx.GraphDef, nnx.State]],
    kept: list[KeyValues],
    logits_BV: Array,
    mask_BT: Array,
    slots: Array | None,
    seed: Array,
    temperature: Array,
    num_new: int,
    stops: tuple[int, ...],
    is_greedy: bool,
) -> _State:
    model: CausalLM = nnx.merge(graph, state)
    layers = [nnx.merge(*layer) for layer in apart]
    num_rows, num_prompt = mask_BT.shape
    valid_BS = jnp.concatenate([mask_BT, jnp.ones((num_rows, num_new), jnp.bool_)], axis=1)
    counted_B = mask_BT.sum(axis=1)
    keys_B = jax.vmap(partial(jax.random.fold_in, jax.random.key(seed)))(jnp.arange(num_rows))

    def pick(held: _State, logits_BV: Array) -> _State:
        """Choose the next token of each row from `logits_BV`, and write it down."""
        best_B = jnp.argmax(logits_BV, axis=-1)
        # Not top_k: XLA sorts the whole vocabulary for it.
        others_BV = jnp.where(jnp.arange(logits_BV.shape[-1]) == best_B[:, None], -jnp.inf, logits_BV)
        token_B = best_B
        if not is_greedy:
            step_keys_B = jax.vmap(lambda key: jax.random.fold_in(key, held.step))(keys_B)
            token_B = jax.vmap(jax.random.categorical)(step_keys_B, logits_BV.astype(jnp.float32) / temperature)
        token_B = token_B.astype(jnp.int32)
        margin_B = logits_BV.max(axis=-1).astype(jnp.float32) - others_BV.max(axis=-1).astype(jnp.float32)
        return held._replace(
            step=held.step + 1,
            token_B=token_B,
            done_B=held.done_B | jnp.isin(token_B, jnp.asarray(stops, jnp.int32)),
            tokens_BN=held.tokens_BN.at[:, held.step].set(jnp.where(held.done_B, PADDED, token_B)),
            margins_BN=held.margins_BN.at[:, held.step].set(jnp.where(held.done_B, 0.0, margin_B)),
        )

    def advance(held: _State) -> _State:
        index = num_prompt + held.step - 1
        cos, sin = cos_sin(model.config.rope, (counted_B + held.step - 1)[:, None], model.dtype)
        positions = Positions(cos, sin, index[None], valid_BS, slots)
        logits_BV, caches = _one_step(model, layers, held.token_B, held.kept, positions)
        return pick(held._replace(kept=caches), logits_BV)

    start = _State(
        step=jnp.zeros((), jnp.int32),
        token_B=jnp.zeros((num_rows,), jnp.int32),
        done_B=jnp.zeros((num_rows,), jnp.bool_),
        kept=kept,
        tokens_BN=jnp.full((num_rows, num_new), PADDED, jnp.int32),
        margins_BN=jnp.zeros((num_rows, num_new), jnp.float32),
    )
    ended: _State = jax.lax.while_loop(
        lambda held: (held.step < num_new) & ~held.done_B.all(), advance, pick(start, logits_BV)
    )
    return ended  # with its cache, which takes the place of the one that was given up


def _one_step(
    model: CausalLM, layers: list[DecoderLayer], token_B: Array, caches: list[KeyValues], positions: Positions
) -> tuple[Array, list[KeyValues]]:
    """Logits after `token_B`, and the caches with it in them."""
    x_BTD = model.model.embed_tokens(token_B[:, None], positions.slots)
    kept = []
    for layer, cache in zip(layers, caches, strict=True):
        x_BTD, layer_kept, _ = layer(x_BTD, positions, cache)
        kept.append(layer_kept)
    return model.head(model.model.norm(x_BTD), positions.slots)[:, 0], kept
