"""One decoder layer: normalise, attend, normalise, feed forward, each around a residual.

Suffixes: `B` batch, `T` time, `D` hidden, `K` chosen experts.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked.attention import KeyValues, LatentSelfAttention, Positions, SelfAttention
from reference.jax_stacked.config import GroupedAttention, ModelConfig
from reference.jax_stacked.experts import SparseMlp
from reference.jax_stacked.lora import LoraSpec
from reference.jax_stacked.mlp import Mlp
from reference.jax_stacked.norm import RMSNorm

WHOLE = 2**30
"""The window of a layer that attends to everything before it."""


class Window(nnx.Variable):
    """How far back a layer looks, as data: so layers that differ in nothing else share a stack."""


class Trace(NamedTuple):
    """What went on in a layer, for those who compare. A dense layer chooses no experts."""

    self_attn_BTD: Array
    mlp_BTD: Array
    layer_BTD: Array
    chosen_BTK: Array


class DecoderLayer(nnx.Module):
    """A layer of the model; `sparse` says which kind of MLP it has."""

    def __init__(self, config: ModelConfig, *, sparse: bool, lora: LoraSpec, rngs: nnx.Rngs, dtype: jnp.dtype) -> None:
        hidden_size, eps, std = config.hidden_size, config.norm_eps, config.init_std
        self.self_attn: SelfAttention | LatentSelfAttention
        if isinstance(config.attention, GroupedAttention):
            self.self_attn = SelfAttention(config.attention, config.rope, hidden_size, eps, lora, rngs, std, dtype)
        else:
            self.self_attn = LatentSelfAttention(config.attention, config.rope, hidden_size, lora, rngs, std, dtype)
        self.mlp: SparseMlp | Mlp
        if sparse:
            assert config.experts is not None
            self.mlp = SparseMlp(config.experts, hidden_size, config.activation, lora, rngs, std, dtype)
        else:
            width, bias = config.mlp_width, config.mlp_bias
            self.mlp = Mlp("mlp", hidden_size, width, bias, config.activation, lora, rngs, std, dtype)
        self.input_layernorm = RMSNorm(hidden_size, eps, dtype)
        self.post_attention_layernorm = RMSNorm(hidden_size, eps, dtype)
        self.window = Window(jnp.asarray(WHOLE, jnp.int32))

    def for_decoding(self) -> None:
        """Trade the shape of the checkpoint for fewer products. Not to be undone: call it on a copy."""
        self.self_attn.for_decoding()
        self.mlp.for_decoding()

    def __call__(
        self, x_BTD: Array, positions: Positions, cache: KeyValues | None = None
    ) -> tuple[Array, KeyValues, Trace]:
        """(B, T, D) to (B, T, D), with the keys and values of this layer, and a trace."""
        attended_BTD, kept = self.self_attn(self.input_layernorm(x_BTD), positions, self.window[...], cache)
        x_BTD = x_BTD + attended_BTD
        normed_BTD = self.post_attention_layernorm(x_BTD)
        if isinstance(self.mlp, SparseMlp):
            fed_BTD, chosen_BTK = self.mlp(normed_BTD, positions.slots)
        else:
            fed_BTD, chosen_BTK = self.mlp(normed_BTD, positions.slots), jnp.zeros((*x_BTD.shape[:2], 0), jnp.int32)
        x_BTD = x_BTD + fed_BTD
        return x_BTD, kept, Trace(attended_BTD, fed_BTD, x_BTD, chosen_BTK)
