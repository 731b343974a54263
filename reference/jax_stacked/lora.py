"""Layers with room for LoRA: every adapter has a slot of its own, and each row of a batch names the slot it uses.

delta = scaling * B @ A per slot (LoRA, arXiv 2106.09685). A slot is as wide as the widest adapter; an adapter of lower
rank leaves the rest zero, where it stays: a zero column of A meets a zero row of B, so neither has a gradient. Factors
are float32 whatever the model's dtype, as in PEFT. What a slot holds, and for whom, is `slots`' business.

Suffixes: `B` batch, `T` time, `I` in, `O` out, `S` slots, `R` rank, `E` experts, `V` vocabulary, `D` hidden.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from harness.errors import UsageError

NORMAL = jax.nn.initializers.normal


class LoraParam(nnx.Variable):
    """A factor of an adapter: what training an adapter trains."""


class LoraScaling(nnx.Variable):
    """alpha / rank (or alpha / sqrt(rank)) of the adapter in each slot; 0 where the module is not adapted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSpec:
    """How much room a model has for adapters."""

    num_slots: int = 0
    max_rank: int = 0
    targets: frozenset[str] = frozenset()
    """Modules with room: their paths within a layer (`self_attn.q_proj`, `mlp.experts.down_proj`) or in the model
    (`embed_tokens`, `lm_head`)."""

    def room(self, target: str) -> LoraSpec | None:
        """This spec if it has room for adapting `target`."""
        return self if self.num_slots and target in self.targets else None

    def check(self, slots: Array | np.ndarray | int | None) -> None:
        """Raise UsageError if `slots` names one that there is not: an index past the end would mean the last.

        To be called where numbers come in; within a program they are not known yet.
        """
        named = np.asarray([] if slots is None else slots)
        if named.size and not (0 <= named.min() and named.max() < self.num_slots):
            expected = f"0 to {self.num_slots - 1}" if self.num_slots else "none: the model has no room for adapters"
            raise UsageError("no such slot", expected=expected, got=str(named.tolist()))


class Lora(nnx.Module):
    """The factors of one weight `(…, in, out)` in every slot; `lead` are its leading axes, such as experts."""

    def __init__(
        self, spec: LoraSpec, lead: tuple[int, ...], num_in: int, num_out: int, axes: tuple[str | None, ...]
    ) -> None:
        shape_A = (spec.num_slots, *lead, num_in, spec.max_rank)
        shape_B = (spec.num_slots, *lead, spec.max_rank, num_out)
        self.A = LoraParam(jnp.zeros(shape_A, jnp.float32), axes=(None, *axes[:-1], None))
        self.B = LoraParam(jnp.zeros(shape_B, jnp.float32), axes=(None, *axes[:-2], None, axes[-1]))
        self.scaling = LoraScaling(jnp.zeros((spec.num_slots,), jnp.float32))

    def __call__(self, x_BTI: Array, slots: Array) -> Array:
        """What the adapters in `slots` (one for all rows, or one a row) add: (B, T, O), in the factors' dtype."""
        scaling = self.scaling[...][slots].reshape(-1, 1, 1)
        return (x_BTI.astype(self.A.dtype) @ self.A[...][slots]) @ self.B[...][slots] * scaling


class Linear(nnx.Module):
    """y = x W (+ b), plus what the row's adapter adds."""

    def __init__(
        self,
        num_in: int,
        num_out: int,
        *,
        bias: bool,
        axes: tuple[str | None, str | None],
        lora: LoraSpec | None,
        rngs: nnx.Rngs,
        std: float,
        dtype: jnp.dtype,
    ) -> None:
        self.kernel = nnx.Param(NORMAL(std)(rngs.params(), (num_in, num_out), dtype), axes=axes)
        self.bias = nnx.Param(jnp.zeros((num_out,), dtype), axes=(axes[1],)) if bias else None
        self.lora = Lora(lora, (), num_in, num_out, axes) if lora else None

    def __call__(self, x_BTI: Array, slots: Array | None) -> Array:
        """(B, T, in) to (B, T, out)."""
        y = x_BTI @ self.kernel[...]
        if self.bias is not None:
            y += self.bias[...]
        if self.lora is not None and slots is not None:
            y = (y + self.lora(x_BTI, slots)).astype(y.dtype)
        return y


class Embedding(nnx.Module):
    """Rows of a table, plus what the row's adapter adds; also the head of models that tie both."""

    def __init__(
        self, num_tokens: int, num_out: int, *, lora: LoraSpec | None, rngs: nnx.Rngs, std: float, dtype: jnp.dtype
    ) -> None:
        self.embedding = nnx.Param(NORMAL(std)(rngs.params(), (num_tokens, num_out), dtype), axes=("vocab", None))
        self.lora = Lora(lora, (), num_tokens, num_out, ("vocab", None)) if lora else None

    def __call__(self, tokens_BT: Array, slots: Array | None) -> Array:
        """(B, T) token ids to (B, T, out)."""
        y = self.embedding[...][tokens_BT]
        if self.lora is None or slots is None:
            return y
        rows_BT = slots if slots.ndim == 0 else slots[:, None]
        picked_BTR = self.lora.A[...][rows_BT, tokens_BT]
        added = picked_BTR @ self.lora.B[...][slots] * self.lora.scaling[...][slots].reshape(-1, 1, 1)
        return (y + added).astype(y.dtype)


def joined(linears: list[Linear]) -> Linear:
    """One Linear that gives the outputs of several of the same input side by side: fewer, larger products.

    Their factors A stand beside each other, their factors B in blocks of a diagonal that carry the scalings. For
    decoding; the parts stay what they are.
    """
    graph, state = nnx.split(linears[0])
    whole: Linear = nnx.merge(graph, state)
    whole.kernel = nnx.Param(jnp.concatenate([part.kernel[...] for part in linears], axis=-1))
    if whole.bias is not None:
        whole.bias = nnx.Param(jnp.concatenate([part.bias[...] for part in linears if part.bias is not None], axis=-1))
    adapted = [(part.lora, part.kernel.shape[-1]) for part in linears]
    whole.lora = nnx.data(None)  # the first part may have none, where another has
    if any(lora is not None for lora, _ in adapted):
        whole.lora = _joined_lora(adapted)
    return whole


def _joined_lora(parts: list[tuple[Lora | None, int]]) -> Lora:
    present = [lora for lora, _ in parts if lora is not None]
    graph, state = nnx.split(present[0])
    whole: Lora = nnx.merge(graph, state)
    whole.A = LoraParam(jnp.concatenate([lora.A[...] for lora in present], axis=-1))
    rows = []
    for index, (lora, _) in enumerate(parts):
        if lora is None:
            continue
        B_SRO = lora.B[...] * lora.scaling[...][:, None, None]
        before = sum(num_out for _, num_out in parts[:index])
        after = sum(num_out for _, num_out in parts[index + 1 :])
        rows.append(jnp.pad(B_SRO, ((0, 0), (0, 0), (before, after))))
    whole.B = LoraParam(jnp.concatenate(rows, axis=-2))
    whole.scaling = LoraScaling(jnp.ones_like(present[0].scaling[...]))
    return whole
