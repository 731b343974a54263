"""The gated feed-forward block, dense: down(act(gate(x)) * up(x)). Also a sparse layer's shared expert.

Suffixes: `B` batch, `T` time, `D` hidden, `F` width.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked.lora import Linear, LoraSpec, joined

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_pytorch_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "relu": jax.nn.relu,
}
"""By transformers' names."""


class Mlp(nnx.Module):
    """Gate, up and down projections; `path` is where in a layer it stands."""

    def __init__(
        self, path: str, hidden_size: int, width: int, bias: bool, activation: str, lora: LoraSpec, rngs: nnx.Rngs,
        std: float, dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.activation = activation

        def linear(name: str, num_in: int, num_out: int, axes: tuple[str | None, str | None]) -> Linear:
            room = lora.room(f"{path}.{name}")
            return Linear(num_in, num_out, bias=bias, axes=axes, lora=room, rngs=rngs, std=std, dtype=dtype)

        self.gate_proj: Linear | None = linear("gate_proj", hidden_size, width, (None, "mlp"))
        self.up_proj: Linear | None = linear("up_proj", hidden_size, width, (None, "mlp"))
        self.down_proj = linear("down_proj", width, hidden_size, ("mlp", None))
        self.gate_up_proj: Linear | None = nnx.data(None)

    def for_decoding(self) -> None:
        """Make one product of two: from now on gate_proj and up_proj are not looked at."""
        assert self.gate_proj is not None and self.up_proj is not None, "once is enough"
        self.gate_up_proj = joined([self.gate_proj, self.up_proj])
        self.gate_proj = self.up_proj = None

    def __call__(self, x_BTD: Array, slots: Array | None) -> Array:
        """(B, T, D) to (B, T, D)."""
        if self.gate_up_proj is not None:
            gate_BTF, up_BTF = jnp.split(self.gate_up_proj(x_BTD, slots), 2, axis=-1)
        else:
            assert self.gate_proj is not None and self.up_proj is not None
            gate_BTF, up_BTF = self.gate_proj(x_BTD, slots), self.up_proj(x_BTD, slots)
        return self.down_proj(ACTIVATIONS[self.activation](gate_BTF) * up_BTF, slots)
