"""A decoder-only language model: embedding, stacks of layers, norm, head.

Suffixes: `B` batch, `T` time, `S` keys, `D` hidden, `V` vocabulary.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked.attention import KeyValues, Positions
from reference.jax_stacked.config import ModelConfig
from reference.jax_stacked.layer import WHOLE, DecoderLayer, Trace
from reference.jax_stacked.lora import Embedding, Linear, LoraSpec
from reference.jax_stacked.norm import RMSNorm
from reference.jax_stacked.rope import cos_sin
from reference.jax_stacked.stacked import DecoderStacks, MakeLayer

NO_LORA = LoraSpec()


class Output(NamedTuple):
    """What a forward pass yields."""

    logits_BTV: Array
    kept: list[KeyValues]
    """Keys and values (L, B, K, T, d) of each stack; empty in training."""
    embedded_BTD: Array
    normed_BTD: Array
    traces: list[Trace]
    """A trace (L, ...) of each stack, if asked for."""


class Decoder(nnx.Module):
    """What transformers calls `model`: everything but the head."""

    def __init__(self, config: ModelConfig, lora: LoraSpec, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        self.embed_tokens = Embedding(
            config.vocab_size, config.hidden_size, lora=lora.room("embed_tokens"), rngs=rngs, std=config.init_std,
            dtype=dtype,
        )  # fmt: skip

        def maker(sparse: bool) -> MakeLayer:
            return lambda layer_rngs: DecoderLayer(config, sparse=sparse, lora=lora, rngs=layer_rngs, dtype=dtype)

        makers = {sparse: maker(sparse) for sparse in set(config.sparse)}
        self.layers = DecoderStacks([makers[sparse] for sparse in config.sparse], rngs.params())
        self.norm = RMSNorm(config.hidden_size, config.norm_eps, dtype)
        self.set_windows(config)

    def set_windows(self, config: ModelConfig) -> None:
        """Tell each layer how far back it looks."""
        for stack in self.layers.stacks:
            windows = config.windows[stack.first_layer : stack.first_layer + stack.num_layers]
            sizes = [WHOLE if window is None else window for window in windows]
            stack._stacked.window.set_value(jnp.asarray(sizes, jnp.int32))


class CausalLM(nnx.Module):
    """A language model with room for adapters. Variables are named as transformers names them."""

    def __init__(
        self, config: ModelConfig, *, lora: LoraSpec = NO_LORA, seed: int = 0, dtype: jnp.dtype = jnp.float32
    ) -> None:
        self.config, self.lora = config, lora
        rngs = nnx.Rngs(seed)
        self.model = Decoder(config, lora, rngs, dtype)
        head = None
        if not config.tied:
            head = Linear(
                config.hidden_size, config.vocab_size, bias=False, axes=(None, "vocab"), lora=lora.room("lm_head"),
                rngs=rngs, std=config.init_std, dtype=dtype,
            )  # fmt: skip
        self.lm_head = head

    def __call__(
        self,
        tokens_BT: Array,
        *,
        mask_BT: Array | None = None,
        slots: Array | None = None,
        is_training: bool = False,
        checkpointing: bool = False,
        trace: bool = False,
    ) -> Output:
        """Logits of every position, and the keys and values that decoding goes on from.

        `mask_BT` is False for padding, which stands on the left. `slots` is the adapter of all rows (a scalar) or of
        each row (B,); None is the base model. `is_training` keeps no keys and values.
        """
        positions = self.positions(tokens_BT, mask_BT, slots)
        embedded_BTD = self.model.embed_tokens(tokens_BT, slots)
        x_BTD, kept, traces = self.model.layers(
            embedded_BTD, positions, is_training=is_training, checkpointing=checkpointing, trace=trace
        )
        normed_BTD = self.model.norm(x_BTD)
        return Output(self.head(normed_BTD, slots), kept, embedded_BTD, normed_BTD, traces)

    def positions(self, tokens_BT: Array, mask_BT: Array | None, slots: Array | None) -> Positions:
        """Positions of a whole sequence: each row counts from its first token that is no padding."""
        valid_BT = jnp.ones(tokens_BT.shape, jnp.bool_) if mask_BT is None else mask_BT.astype(jnp.bool_)
        counted_BT = jnp.maximum(jnp.cumsum(valid_BT, axis=-1) - 1, 0)
        cos_BTr, sin_BTr = cos_sin(self.config.rope, counted_BT, self.dtype)
        return Positions(cos_BTr, sin_BTr, jnp.arange(tokens_BT.shape[1]), valid_BT, slots)

    def head(self, x_BTD: Array, slots: Array | None) -> Array:
        """Logits (B, T, V) of normalised hidden states."""
        if self.lm_head is not None:
            return self.lm_head(x_BTD, slots)
        return x_BTD @ self.model.embed_tokens.embedding[...].T

    @property
    def dtype(self) -> jnp.dtype:
        """Of the weights and of what flows between them."""
        return self.model.embed_tokens.embedding.dtype


@lru_cache(maxsize=32)
def shapes(config: ModelConfig, *, lora: LoraSpec = NO_LORA, dtype: jnp.dtype = jnp.float32) -> CausalLM:
    """A model that has shapes in the place of arrays: to ask what there is, not to run."""
    model: CausalLM = nnx.eval_shape(lambda: CausalLM(config, lora=lora, dtype=dtype))
    return model


def abstract(config: ModelConfig, *, lora: LoraSpec = NO_LORA, dtype: jnp.dtype = jnp.float32) -> CausalLM:
    """A model of zeros, for loading into: nothing is drawn that a checkpoint will overwrite."""
    graph, state = nnx.split(shapes(config, lora=lora, dtype=dtype))
    model: CausalLM = nnx.merge(graph, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), state))
    model.model.set_windows(config)
    return model


def forward(
    model: CausalLM, tokens_BT: Array, *, mask_BT: Array | None = None, slots: Array | None = None, trace: bool = False
) -> Output:
    """The model's output, from a program that is compiled once for all models of one configuration.

    Raises UsageError if there is no such slot.
    """
    model.lora.check(slots)
    return _forward(*nnx.split(model), tokens_BT, mask_BT, slots, trace=trace)


@partial(jax.jit, static_argnums=0, static_argnames="trace")
def _forward(
    graph: nnx.GraphDef, state: nnx.State, tokens_BT: Array, mask_BT: Array | None, slots: Array | None, *, trace: bool
) -> Output:
    model: CausalLM = nnx.merge(graph, state)
    return model(tokens_BT, mask_BT=mask_BT, slots=slots, trace=trace)
