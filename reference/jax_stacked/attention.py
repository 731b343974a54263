"""Attention: grouped-query (Qwen3, Llama, GLM4) and latent (DeepSeek V3), with one way to keep keys and values.

Suffixes: `B` batch, `T` queries, `S` keys, `D` hidden, `H` query heads, `K` key-value heads, `G` query heads that share
one of them, `d` dimensions of a head, `r` rotated pairs.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked.config import GroupedAttention, LatentAttention, Rope
from reference.jax_stacked.lora import Linear, LoraSpec, joined
from reference.jax_stacked.norm import RMSNorm
from reference.jax_stacked.rope import rotate


class KeyValues(NamedTuple):
    """Keys and values of one layer (or, with a leading axis, of a stack of layers)."""

    keys_BKSd: Array
    values_BKSd: Array


class Positions(NamedTuple):
    """Where the tokens of a forward pass stand: the same for every layer."""

    cos_BTr: Array
    sin_BTr: Array
    query_T: Array
    """Index of each query among the keys."""
    valid_BS: Array
    """False for padding."""
    slots: Array | None
    """The adapter of all rows, or of each row; None for the base model."""


def attend(q_BTHd: Array, kept: KeyValues, positions: Positions, window: Array, score_scale: float) -> Array:
    """Causal softmax attention within `window` positions, past padding: (B, T, H, d of values)."""
    batch, num_queries, num_heads, head_dim = q_BTHd.shape
    num_kv_heads, num_keys = kept.keys_BKSd.shape[1:3]
    q_BTKGd = q_BTHd.reshape(batch, num_queries, num_kv_heads, num_heads // num_kv_heads, head_dim)
    scores_BKGTS = jnp.einsum("btkgd,bksd->bkgts", q_BTKGd, kept.keys_BKSd) * score_scale
    distance_TS = positions.query_T[:, None] - jnp.arange(num_keys)
    seen_BTS = ((distance_TS >= 0) & (distance_TS < window)) & positions.valid_BS[:, None]
    # The lowest number and not -inf: a row of padding sees nothing, and must not become NaN.
    lowest = float(jnp.finfo(scores_BKGTS.dtype).min)
    scores_BKGTS = jnp.where(seen_BTS[:, None, None], scores_BKGTS, lowest)
    weights_BKGTS = jax.nn.softmax(scores_BKGTS.astype(jnp.float32), axis=-1).astype(q_BTHd.dtype)
    mixed_BTKGd = jnp.einsum("bkgts,bksd->btkgd", weights_BKGTS, kept.values_BKSd)
    return mixed_BTKGd.reshape(batch, num_queries, num_heads, -1)


def keep(cache: KeyValues | None, keys_BTKd: Array, values_BTKd: Array, start: Array) -> KeyValues:
    """The new keys and values alone, or written into `cache` from position `start` on."""
    new = KeyValues(jnp.swapaxes(keys_BTKd, 1, 2), jnp.swapaxes(values_BTKd, 1, 2))
    if cache is None:
        return new
    zero = jnp.zeros((), start.dtype)
    return KeyValues(
        *(
            jax.lax.dynamic_update_slice(held, part, (zero, zero, start, zero))
            for held, part in zip(cache, new, strict=True)
        )
    )


class SelfAttention(nnx.Module):
    """Grouped-query attention."""

    def __init__(
        self, config: GroupedAttention, rope: Rope, hidden_size: int, norm_eps: float, lora: LoraSpec, rngs: nnx.Rngs,
        std: float, dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.config, self.rope = config, rope
        heads, kv_heads = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim

        def linear(name: str, num_in: int, num_out: int, bias: bool, axes: tuple[str | None, str | None]) -> Linear:
            room = lora.room(f"self_attn.{name}")
            return Linear(num_in, num_out, bias=bias, axes=axes, lora=room, rngs=rngs, std=std, dtype=dtype)

        self.q_proj: Linear | None = linear("q_proj", hidden_size, heads, config.bias, (None, "heads"))
        self.k_proj: Linear | None = linear("k_proj", hidden_size, kv_heads, config.bias, (None, "heads"))
        self.v_proj: Linear | None = linear("v_proj", hidden_size, kv_heads, config.bias, (None, "heads"))
        self.o_proj = linear("o_proj", heads, hidden_size, config.output_bias, ("heads", None))
        self.q_norm = RMSNorm(config.head_dim, norm_eps, dtype) if config.qk_norm else None
        self.k_norm = RMSNorm(config.head_dim, norm_eps, dtype) if config.qk_norm else None
        self.qkv_proj: Linear | None = nnx.data(None)

    def for_decoding(self) -> None:
        """Make one product of three: from now on q_proj, k_proj and v_proj are not looked at."""
        parts = [part for part in (self.q_proj, self.k_proj, self.v_proj) if part is not None]
        self.qkv_proj = joined(parts)
        self.q_proj = self.k_proj = self.v_proj = None

    def __call__(
        self, x_BTD: Array, positions: Positions, window: Array, cache: KeyValues | None
    ) -> tuple[Array, KeyValues]:
        """(B, T, D) to (B, T, D), and the keys and values it attended to."""
        q, k, v = self._projected(x_BTD, positions.slots)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = self.q_norm(q), self.k_norm(k)
        q = rotate(self.rope, q, positions.cos_BTr, positions.sin_BTr)
        k = rotate(self.rope, k, positions.cos_BTr, positions.sin_BTr)
        kept = keep(cache, k, v, positions.query_T[0])
        mixed = attend(q, kept, positions, window, self.config.head_dim**-0.5)
        return self.o_proj(mixed.reshape(*x_BTD.shape[:2], -1), positions.slots), kept

    def _projected(self, x_BTD: Array, slots: Array | None) -> tuple[Array, Array, Array]:
        num_heads, num_kv_heads = self.config.num_heads, self.config.num_kv_heads
        if self.qkv_proj is None:
            linears = (self.q_proj, self.k_proj, self.v_proj)
            parts = [linear(x_BTD, slots) for linear in linears if linear is not None]
        else:
            ends = (num_heads * self.config.head_dim, (num_heads + num_kv_heads) * self.config.head_dim)
            parts = jnp.split(self.qkv_proj(x_BTD, slots), ends, axis=-1)
        q, k, v = (part.reshape(*part.shape[:2], -1, self.config.head_dim) for part in parts)
        return q, k, v


class LatentSelfAttention(nnx.Module):
    """DeepSeek's multi-head latent attention. Keys and values are kept expanded: clear first, small second."""

    def __init__(
        self, config: LatentAttention, rope: Rope, hidden_size: int, lora: LoraSpec, rngs: nnx.Rngs, std: float,
        dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.config, self.rope = config, rope
        query_width = config.num_heads * (config.nope_dim + config.rope_dim)
        eps = config.latent_norm_eps

        def linear(name: str, num_in: int, num_out: int, bias: bool, axes: tuple[str | None, str | None]) -> Linear:
            room = lora.room(f"self_attn.{name}")
            return Linear(num_in, num_out, bias=bias, axes=axes, lora=room, rngs=rngs, std=std, dtype=dtype)

        if config.query_rank is None:
            self.q_proj = linear("q_proj", hidden_size, query_width, False, (None, "heads"))
        else:
            self.q_a_proj = linear("q_a_proj", hidden_size, config.query_rank, config.bias, (None, None))
            self.q_a_layernorm = RMSNorm(config.query_rank, eps, dtype)
            self.q_b_proj = linear("q_b_proj", config.query_rank, query_width, False, (None, "heads"))
        latent = config.kv_rank + config.rope_dim
        self.kv_a_proj_with_mqa = linear("kv_a_proj_with_mqa", hidden_size, latent, config.bias, (None, None))
        self.kv_a_layernorm = RMSNorm(config.kv_rank, eps, dtype)
        expanded = config.num_heads * (config.nope_dim + config.value_dim)
        self.kv_b_proj = linear("kv_b_proj", config.kv_rank, expanded, False, (None, "heads"))
        self.o_proj = linear("o_proj", config.num_heads * config.value_dim, hidden_size, config.bias, ("heads", None))

    def for_decoding(self) -> None:
        """Nothing to join: each product here has an input of its own."""

    def __call__(
        self, x_BTD: Array, positions: Positions, window: Array, cache: KeyValues | None
    ) -> tuple[Array, KeyValues]:
        """(B, T, D) to (B, T, D), and the keys and values it attended to."""
        config, slots = self.config, positions.slots
        shape = (*x_BTD.shape[:2], config.num_heads, -1)
        if config.query_rank is None:
            q = self.q_proj(x_BTD, slots)
        else:
            q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x_BTD, slots)), slots)
        q_nope, q_rope = jnp.split(q.reshape(shape), [config.nope_dim], axis=-1)
        latent, k_rope = jnp.split(self.kv_a_proj_with_mqa(x_BTD, slots), [config.kv_rank], axis=-1)
        expanded = self.kv_b_proj(self.kv_a_layernorm(latent), slots).reshape(shape)
        k_nope, v = jnp.split(expanded, [config.nope_dim], axis=-1)
        q_rope = rotate(self.rope, q_rope, positions.cos_BTr, positions.sin_BTr)
        k_rope = rotate(self.rope, k_rope[:, :, None], positions.cos_BTr, positions.sin_BTr)  # one for all heads
        k_rope = jnp.broadcast_to(k_rope, (*k_nope.shape[:-1], config.rope_dim))
        q, k = jnp.concatenate([q_nope, q_rope], axis=-1), jnp.concatenate([k_nope, k_rope], axis=-1)
        kept = keep(cache, k, v, positions.query_T[0])
        mixed = attend(q, kept, positions, window, config.score_scale)
        return self.o_proj(mixed.reshape(*x_BTD.shape[:2], -1), slots), kept
