"""Root-mean-square normalisation (arXiv 1910.07467), rounding where transformers rounds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array


class RMSNorm(nnx.Module):
    """x / rms(x) in float32, back to x's dtype, then times the weight."""

    def __init__(self, num_features: int, eps: float, dtype: jnp.dtype) -> None:
        self.weight = nnx.Param(jnp.ones((num_features,), dtype), axes=(None,))
        self.eps = eps

    def __call__(self, x: Array) -> Array:
        """Normalise the last axis."""
        wide = x.astype(jnp.float32)
        scale = jax.lax.rsqrt(jnp.mean(wide * wide, axis=-1, keepdims=True) + self.eps)
        return self.weight[...] * (wide * scale).astype(x.dtype)
