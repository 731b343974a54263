"""A sparse layer: which experts a token goes to, and what they make of it.

Every expert computes every token, and the weights of those that were not chosen are zero. So a layer is two wide
products: exact, since no token is ever dropped; fast for the few experts that we test with; and split over a mesh by
experts without sending tokens about. It costs num_experts / num_chosen times the arithmetic of a sorted dispatch, which
is what to build first for models of real size.

Suffixes: `B` batch, `T` time, `D` hidden, `E` experts, `K` chosen experts, `F` expert width, `R` rank, `I` in, `O` out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from reference.jax_stacked import config as configs
from reference.jax_stacked.lora import NORMAL, Lora, LoraSpec
from reference.jax_stacked.mlp import ACTIVATIONS, Mlp

NORMALISATION_FLOOR = 1e-20
"""What DeepSeek adds to the sum that it divides by."""


class Router(nnx.Module):
    """Scores each expert for each token and chooses; after transformers' routers of Qwen3-MoE and DeepSeek V3."""

    def __init__(self, config: configs.Experts, hidden_size: int, rngs: nnx.Rngs, std: float, dtype: jnp.dtype) -> None:
        self.config = config
        kernel = NORMAL(std)(rngs.params(), (hidden_size, config.num_experts), dtype)
        self.kernel = nnx.Param(kernel, axes=(None, None))
        corrected = config.router == "sigmoid"
        # float32 in every checkpoint: rounding it would move tokens to other experts.
        bias = jnp.zeros((config.num_experts,), jnp.float32)
        self.e_score_correction_bias = nnx.Param(bias, axes=(None,)) if corrected else None

    def __call__(self, x_BTD: Array) -> tuple[Array, Array]:
        """The weight of each chosen expert, and which they are: (B, T, K) each."""
        if self.config.router == "softmax":
            return self._by_softmax(x_BTD)
        return self._by_sigmoid(x_BTD)

    def _by_softmax(self, x_BTD: Array) -> tuple[Array, Array]:
        logits_BTE = x_BTD @ self.kernel[...]
        shares_BTE = jax.nn.softmax(logits_BTE.astype(jnp.float32), axis=-1)
        weights_BTK, chosen_BTK = jax.lax.top_k(shares_BTE, self.config.num_chosen)
        if self.config.normalise:
            weights_BTK /= weights_BTK.sum(axis=-1, keepdims=True)
        return (weights_BTK * self.config.scale).astype(x_BTD.dtype), chosen_BTK

    def _by_sigmoid(self, x_BTD: Array) -> tuple[Array, Array]:
        """The correction bias helps choose (the best groups, then experts within them) and does not weigh."""
        config = self.config
        scores_BTE = jax.nn.sigmoid(x_BTD.astype(jnp.float32) @ self.kernel[...].astype(jnp.float32))
        assert self.e_score_correction_bias is not None
        ranked_BTE = scores_BTE + self.e_score_correction_bias[...]
        grouped = ranked_BTE.reshape(*ranked_BTE.shape[:-1], config.num_groups, -1)
        group_scores = jax.lax.top_k(grouped, 2)[0].sum(axis=-1)
        groups = jax.lax.top_k(group_scores, config.num_chosen_groups)[1]
        allowed = jax.nn.one_hot(groups, config.num_groups, dtype=jnp.bool_).any(axis=-2)
        ranked_BTE = jnp.where(allowed[..., None], grouped, -jnp.inf).reshape(ranked_BTE.shape)
        chosen_BTK = jax.lax.top_k(ranked_BTE, config.num_chosen)[1]
        weights_BTK = jnp.take_along_axis(scores_BTE, chosen_BTK, axis=-1)
        if config.normalise:
            weights_BTK /= weights_BTK.sum(axis=-1, keepdims=True) + NORMALISATION_FLOOR
        return weights_BTK * config.scale, chosen_BTK


class ExpertProjection(nnx.Module):
    """One matrix an expert."""

    def __init__(
        self, num_experts: int, num_in: int, num_out: int, *, axes: tuple[str | None, ...], lora: LoraSpec | None,
        rngs: nnx.Rngs, std: float, dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.kernel = nnx.Param(NORMAL(std)(rngs.params(), (num_experts, num_in, num_out), dtype), axes=axes)
        self.lora = Lora(lora, (num_experts,), num_in, num_out, axes) if lora else None


class LoraAlone(nnx.Module):
    """An adapter's factors for a part of a matrix that is stored under another name."""

    def __init__(self, lora: Lora) -> None:
        self.lora = lora


class Experts(nnx.Module):
    """All experts of a layer. gate and up are one matrix, gate's columns first.

    LoRA has room on gate_up with a factor A that both share (as PEFT adapts transformers 5), or on gate and on up alone
    (as it adapts transformers 4), and on down.
    """

    def __init__(
        self, config: configs.Experts, hidden_size: int, activation: str, lora: LoraSpec, rngs: nnx.Rngs, std: float,
        dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.activation = activation
        num_experts, width = config.num_experts, config.width
        wide, narrow = ("expert", None, "mlp"), ("expert", "mlp", None)

        def room(name: str) -> LoraSpec | None:
            return lora.room(f"mlp.experts.{name}")

        self.gate_up_proj = ExpertProjection(
            num_experts, hidden_size, 2 * width, axes=wide, lora=room("gate_up_proj"), rngs=rngs, std=std, dtype=dtype
        )
        self.down_proj = ExpertProjection(
            num_experts, width, hidden_size, axes=narrow, lora=room("down_proj"), rngs=rngs, std=std, dtype=dtype
        )
        gate, up = room("gate_proj"), room("up_proj")
        self.gate_proj = LoraAlone(Lora(gate, (num_experts,), hidden_size, width, wide)) if gate else None
        self.up_proj = LoraAlone(Lora(up, (num_experts,), hidden_size, width, wide)) if up else None

    def __call__(self, x_BTD: Array, weights_BTK: Array, chosen_BTK: Array, slots: Array | None) -> Array:
        """What the chosen experts make of each token, weighed and summed: (B, T, D)."""
        num_experts = self.gate_up_proj.kernel.shape[0]
        one_hot_BTKE = jax.nn.one_hot(chosen_BTK, num_experts, dtype=weights_BTK.dtype)
        weights_BTE = jnp.einsum("btk,btke->bte", weights_BTK, one_hot_BTKE)
        gate_BTEF, up_BTEF = self.gate_up(x_BTD, slots)
        hidden_BTEF = ACTIVATIONS[self.activation](gate_BTEF) * up_BTEF
        return self.down(hidden_BTEF, weights_BTE.astype(hidden_BTEF.dtype), slots)

    def gate_up(self, x_BTD: Array, slots: Array | None) -> tuple[Array, Array]:
        """Every expert's gate and up for every token: (B, T, E, F) each."""
        both_BTEF = jnp.einsum("btd,edf->btef", x_BTD, self.gate_up_proj.kernel[...])
        if slots is None:
            return _halves(both_BTEF)
        both_BTEF = _add(both_BTEF, self.gate_up_proj.lora, x_BTD, slots)
        gate_BTEF, up_BTEF = _halves(both_BTEF)
        gate, up = (part.lora if part is not None else None for part in (self.gate_proj, self.up_proj))
        return _add(gate_BTEF, gate, x_BTD, slots), _add(up_BTEF, up, x_BTD, slots)

    def down(self, hidden_BTEF: Array, weights_BTE: Array, slots: Array | None) -> Array:
        """Experts' hidden values back to the model's width, weighed and summed over experts: (B, T, D)."""
        weighed_BTEF = hidden_BTEF * weights_BTE[..., None]
        y_BTD = jnp.einsum("btef,efd->btd", weighed_BTEF, self.down_proj.kernel[...])
        lora = self.down_proj.lora
        if lora is None or slots is None:
            return y_BTD
        rows = "b" if slots.ndim else ""
        A, B = lora.A[...][slots], lora.B[...][slots]
        low_BTER = jnp.einsum(f"btei,{rows}eir->bter", weighed_BTEF.astype(A.dtype), A)
        added_BTD = jnp.einsum(f"bter,{rows}ero->bto", low_BTER, B) * lora.scaling[...][slots].reshape(-1, 1, 1)
        return (y_BTD + added_BTD).astype(y_BTD.dtype)


def _halves(both: Array) -> tuple[Array, Array]:
    gate, up = jnp.split(both, 2, axis=-1)
    return gate, up


def _add(y_BTEO: Array, lora: Lora | None, x_BTI: Array, slots: Array) -> Array:
    """`y` plus what the adapters add for every expert, from an input that all experts share."""
    if lora is None:
        return y_BTEO
    rows = "b" if slots.ndim else ""
    A, B = lora.A[...][slots], lora.B[...][slots]
    low_BTER = jnp.einsum(f"bti,{rows}eir->bter", x_BTI.astype(A.dtype), A)
    added_BTEO = jnp.einsum(f"bter,{rows}ero->bteo", low_BTER, B) * lora.scaling[...][slots].reshape(-1, 1, 1, 1)
    return (y_BTEO + added_BTEO).astype(y_BTEO.dtype)


class SparseMlp(nnx.Module):
    """Router, experts and the shared expert: what stands in the place of a dense MLP."""

    def __init__(
        self, config: configs.Experts, hidden_size: int, activation: str, lora: LoraSpec, rngs: nnx.Rngs, std: float,
        dtype: jnp.dtype,
    ) -> None:  # fmt: skip
        self.gate = Router(config, hidden_size, rngs, std, dtype)
        self.experts = Experts(config, hidden_size, activation, lora, rngs, std, dtype)
        shared = None
        if config.shared_width:
            shared = Mlp(
                "mlp.shared_experts", hidden_size, config.shared_width, False, activation, lora, rngs, std, dtype
            )
        self.shared_experts = shared

    def for_decoding(self) -> None:
        """Join what can be joined."""
        if self.shared_experts is not None:
            self.shared_experts.for_decoding()

    def __call__(self, x_BTD: Array, slots: Array | None) -> tuple[Array, Array]:
        """(B, T, D) to (B, T, D), and the chosen experts (B, T, K)."""
        weights_BTK, chosen_BTK = self.gate(x_BTD)
        y_BTD = self.experts(x_BTD, weights_BTK, chosen_BTK, slots)
        if self.shared_experts is not None:
            y_BTD += self.shared_experts(x_BTD, slots)
        return y_BTD, chosen_BTK
