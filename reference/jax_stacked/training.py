"""Training adapters: the loss, its gradient for every slot, and AdamW with a state of its own for each adapter.

A batch may mix adapters. The loss is a sum over tokens until it is used, so that gradients of several batches add up to
the gradient of their mean; each adapter's is divided by its own tokens, once. What an adapter learns depends on its own
rows alone. Suffixes: `B` rows, `T` tokens, `V` vocabulary, `S` slots.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from harness.errors import UsageError
from reference.jax_stacked.lora import LoraParam
from reference.jax_stacked.model import CausalLM

IGNORED = -100
"""The label of a token that is not learned, as in torch."""


class Batch(NamedTuple):
    """Sequences, what is to be learned of them, and by whom."""

    tokens_BT: Array
    labels_BT: Array
    """The tokens themselves (they are shifted here), or -100 where nothing is to be learned."""
    slots_B: Array
    mask_BT: Array | None = None


class Gradients(NamedTuple):
    """Sums over the batches since the last step."""

    summed: Any
    """Like the model's LoraParam state: of the sum of all token losses."""
    loss_S: Array
    tokens_S: Array


def no_gradients(model: CausalLM) -> Gradients:
    """The sum of no batch."""
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, LoraParam))
    return Gradients(zeros, jnp.zeros(model.lora.num_slots), jnp.zeros(model.lora.num_slots))


def accumulate(model: CausalLM, batch: Batch, before: Gradients, *, checkpointing: bool = False) -> Gradients:
    """`before` (given up) plus the gradients of `batch`. Raises UsageError if a row's slot does not exist."""
    model.lora.check(batch.slots_B)
    split: Any = nnx.split(model, LoraParam, ...)  # whose types know of two parts only
    graph, factors, rest = split
    return _accumulate(graph, factors, rest, batch, before, checkpointing)


@partial(jax.jit, static_argnums=(0, 5), donate_argnums=4)
def _accumulate(
    graph: nnx.GraphDef, factors: nnx.State, rest: nnx.State, batch: Batch, before: Gradients, checkpointing: bool
) -> Gradients:
    num_slots = before.loss_S.shape[0]

    def summed_loss(factors: nnx.State) -> tuple[Array, tuple[Array, Array]]:
        model: CausalLM = nnx.merge(graph, factors, rest)
        loss_B, tokens_B = sequence_losses(model, batch, checkpointing=checkpointing)
        by_slot = partial(jax.ops.segment_sum, segment_ids=batch.slots_B, num_segments=num_slots)
        return loss_B.sum(), (by_slot(loss_B), by_slot(tokens_B))

    gradients, (loss_S, tokens_S) = jax.grad(summed_loss, has_aux=True)(factors)
    added = jax.tree.map(jnp.add, before.summed, gradients)
    return Gradients(added, before.loss_S + loss_S, before.tokens_S + tokens_S)


def sequence_losses(model: CausalLM, batch: Batch, *, checkpointing: bool = False) -> tuple[Array, Array]:
    """Each row's negative log-likelihood, summed over the tokens it is to learn, and their number: (B,) each."""
    output = model(
        batch.tokens_BT, mask_BT=batch.mask_BT, slots=batch.slots_B, is_training=True, checkpointing=checkpointing
    )
    labels_BT = batch.labels_BT[:, 1:]
    learned_BT = labels_BT != IGNORED
    losses_BT = optax.softmax_cross_entropy_with_integer_labels(
        output.logits_BTV[:, :-1].astype(jnp.float32), jnp.where(learned_BT, labels_BT, 0)
    )
    return (losses_BT * learned_BT).sum(axis=1), learned_BT.sum(axis=1).astype(jnp.float32)


class AdapterOptimizer:
    """AdamW for the adapters of one model: moments and step counts by slot, made when a slot first learns."""

    def __init__(self, model: CausalLM, learning_rate: float, *, weight_decay: float = 0.0) -> None:
        self.model = model
        self.rule = optax.chain(
            exact_adam(b1=0.9, b2=0.999, eps=1e-8),
            optax.add_decayed_weights(weight_decay),
            optax.scale_by_learning_rate(learning_rate),
        )
        self.states: dict[int, Any] = {}

    def step(self, slot: int, gradients: Gradients) -> Gradients:
        """Update the adapter in `slot` alone; returns `gradients` (given up) with that slot's sums back at zero.

        Raises UsageError if there is no such slot, or if no token was learned there: no losses have no mean.
        """
        self.model.lora.check(slot)
        if not np.asarray(gradients.tokens_S)[slot]:
            raise UsageError("no token was learned since the last step", where=f"slot {slot}")
        factors = nnx.state(self.model, LoraParam)
        if slot not in self.states:
            self.states[slot] = self.rule.init(_taken(factors, jnp.asarray(slot)))
        factors, self.states[slot], rest = _step(self.rule, factors, self.states[slot], gradients, jnp.asarray(slot))
        nnx.update(self.model, factors)
        return rest

    def forget(self, slot: int) -> None:
        """Drop the moments of a slot: whoever moves in next begins at step one."""
        self.states.pop(slot, None)


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def _step(
    rule: optax.GradientTransformation, factors: nnx.State, state: Any, gradients: Gradients, slot: Array
) -> tuple[nnx.State, Any, Gradients]:
    own = _taken(factors, slot)
    updates, state = rule.update(mean_gradients(gradients, slot), state, own)
    zeros = jax.tree.map(jnp.zeros_like, own)
    rest = Gradients(
        _replaced(gradients.summed, slot, zeros),
        gradients.loss_S.at[slot].set(0.0),
        gradients.tokens_S.at[slot].set(0.0),
    )
    return _replaced(factors, slot, optax.apply_updates(own, updates)), state, rest


def exact_adam(*, b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    """optax's Adam with bias corrections that are exact to float32.

    `optax.scale_by_adam` (0.2.8) computes 1 - b2**count in float32: with 0.999 that is 1.3e-5 off in the first step,
    and losses come out 30 times as far from torch's as those of a run begun 1e-7 beside it. torch uses float64.
    """

    def correction(decay: float, count: Array) -> Array:
        return -jnp.expm1(count * math.log(decay))

    def update(gradients: Any, state: Any, _factors: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu = jax.tree.map(lambda held, new: b1 * held + (1 - b1) * new, state.mu, gradients)
        nu = jax.tree.map(lambda held, new: b2 * held + (1 - b2) * new * new, state.nu, gradients)
        mu_scale, nu_scale = correction(b1, count), correction(b2, count)
        steps = jax.tree.map(lambda m, v: (m / mu_scale) / (jnp.sqrt(v / nu_scale) + eps), mu, nu)
        return steps, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(optax.scale_by_adam().init, update)


def mean_gradients(gradients: Gradients, slot: Array | int) -> nnx.State:
    """The gradient of the mean loss of the adapter in `slot`: like the model's factors, without the slots' axis."""
    summed: nnx.State = jax.tree.map(
        lambda array: array / gradients.tokens_S[slot], _taken(gradients.summed, jnp.asarray(slot))
    )
    return summed


def _taken(factors: nnx.State, slot: Array) -> nnx.State:
    """One slot's part of every factor."""

    def take(variable: nnx.Variable) -> nnx.Variable:
        axis = _slot_axis(variable)
        return variable.replace(jax.lax.dynamic_index_in_dim(variable.get_value(), slot, axis, keepdims=False))

    taken: nnx.State = jax.tree.map(take, factors, is_leaf=_is_variable)
    return taken


def _replaced(factors: nnx.State, slot: Array, own: nnx.State) -> nnx.State:
    """Every factor with one slot's part taken from `own`."""

    def put(variable: nnx.Variable, part: nnx.Variable) -> nnx.Variable:
        axis, value = _slot_axis(variable), variable.get_value()
        return variable.replace(jax.lax.dynamic_update_index_in_dim(value, part.get_value(), slot, axis))

    replaced: nnx.State = jax.tree.map(put, factors, own, is_leaf=_is_variable)
    return replaced


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _slot_axis(variable: nnx.Variable) -> int:
    """Which axis counts slots: the first that the module itself has, so the second in a stack."""
    axes: tuple[str | None, ...] = variable.get_metadata("axes")
    return int(variable.get_value().ndim - len(axes))
