"""An adapter added into the weights it adapts, with counts: what was to be changed, and what did change."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from harness.errors import UsageError
from reference.jax_stacked.slots import Slots
from reference.jax_stacked.stacked import ArrayRef, unstack_state

FUSED_PARTS = ("gate_proj", "up_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeCounts:
    """Of one merge. Matrices are counted as they are published: an expert's gate, up and down are one each."""

    attempted: int
    """Matrices whose delta is not zero."""
    changed: int
    """Those of them that differ from before in the model's dtype. The rest is lost to rounding."""
    zero_delta: int
    """Adapted matrices whose delta is zero: experts that no token has reached."""


def merge(slots: Slots, slot: int) -> MergeCounts:
    """Add the adapter in `slot` to the base weights, rounding each sum once, and empty the slot.

    Raises UsageError if the adapter changes an embedding that is also the head: one tensor cannot be both.
    """
    adapter = slots.extract(slot)
    if slots.model.config.tied and "model.embed_tokens" in adapter.factors:
        raise UsageError(
            "an adapted embedding that is tied to the head cannot be merged",
            where="model.embed_tokens",
            next_step="Untie the head first, or keep the adapter.",
        )
    weights = {".".join(path[:-1]): view for path, view in unstack_state(slots.model, nnx.Param).items()}
    attempted = changed = total = 0
    for path, factors in adapter.factors.items():
        view, columns = _place(weights, path)
        A, B = jnp.asarray(factors.A), jnp.asarray(factors.B)
        before = view.value[..., columns]
        after, is_delta, is_changed = _added(before, A, B, adapter.scaling(path))
        view.write(after, (*(slice(None),) * (len(view.shape) - 1), columns))
        pieces = 2 if path.endswith(".gate_up_proj") else 1
        attempted += _count(is_delta, pieces)
        changed += _count(is_changed, pieces)
        total += pieces * (factors.A.shape[0] if factors.A.ndim == 3 else 1)
    slots.clear(slot)
    return MergeCounts(attempted=attempted, changed=changed, zero_delta=total - attempted)


def _place(weights: dict[str, ArrayRef], path: str) -> tuple[ArrayRef, slice]:
    """The weight that a module's delta goes to, and which of its columns."""
    if path in weights:
        return weights[path], slice(None)
    prefix, _, part = path.rpartition(".")
    view = weights[f"{prefix}.gate_up_proj"]
    half = view.shape[-1] // 2
    return view, slice(0, half) if part == FUSED_PARTS[0] else slice(half, None)


@jax.jit
def _added(before: Array, A: Array, B: Array, scaling: float) -> tuple[Array, Array, Array]:
    """before + scaling · (B A)ᵀ in float32, rounded to before's dtype; and where the delta, and the weight, changed.

    B A is (…, out, in), as weights are published; kernels and embeddings are held the other way round.
    """
    delta = scaling * (B @ A).swapaxes(-1, -2)
    after = (before.astype(jnp.float32) + delta).astype(before.dtype)
    return after, delta != 0, after != before


def _count(where: Array, pieces: int) -> int:
    """Matrices in which anything is true; the last axis is cut into `pieces`."""
    parts = np.split(np.asarray(where), pieces, axis=-1)
    return int(sum(part.any(axis=(-2, -1)).sum() for part in parts))
