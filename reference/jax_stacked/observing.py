"""What a model computes on a case's tokens, in the form that every stack observes it: see `harness.metrics.observed`.

Suffixes: `B` sequences, `T` tokens, `D` hidden, `M` sparse layers, `K` chosen experts.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from harness.metrics.decoding import forced_margins
from harness.metrics.observed import Outputs
from reference.data import NEW_TOKENS, Tokens
from reference.jax_stacked.generation import generate
from reference.jax_stacked.model import CausalLM, Output, forward

NUM_PADDING = 2
"""Prompts are padded on the left, as a batch of unequal ones would be; what is computed must not feel it."""


def observe(model: CausalLM, tokens: Tokens, slots: Array | None) -> Outputs:
    """Run `model` with the adapter in `slots` on the evaluation sequences and the prompts."""
    sequences = jnp.asarray(tokens.sequences_BT, jnp.int32)
    output = forward(model, sequences, slots=slots, trace=True)
    again_BTV = _float32(forward(model, sequences, slots=slots, trace=True).logits_BTV)
    prompts_SP = np.pad(tokens.prompts_SP, ((0, 0), (NUM_PADDING, 0)))
    mask_SP = np.pad(np.ones(tokens.prompts_SP.shape, np.bool_), ((0, 0), (NUM_PADDING, 0)))
    made = generate(model, prompts_SP, max_new_tokens=NEW_TOKENS, mask_BT=mask_SP, slots=slots)
    return Outputs(
        logits_BTV=_float32(output.logits_BTV),
        tokens_SN=made.tokens_BN.astype(np.int64),
        margins_SN=made.margins_BN.astype(np.float64),
        routing_MBTK=_routing(output),
        stages=_stages(output),
        sequences_BT=tokens.sequences_BT,
        forced_SN=_forced(model, tokens, made.tokens_BN, slots),
        # Bits are compared, and a NaN is equal to itself.
        unrepeated=np.asarray(int((_float32(output.logits_BTV).view(np.int32) != again_BTV.view(np.int32)).sum())),
    )


def kept_in_training(model: CausalLM, tokens: Tokens, slots: Array) -> tuple[int, int]:
    """How many arrays of keys and values a pass of training returns, and of how many arrays; computes nothing."""
    graph, state = nnx.split(model)
    sequences = jnp.asarray(tokens.sequences_BT, jnp.int32)

    def trained(state: nnx.State) -> Output:
        whole: CausalLM = nnx.merge(graph, state)
        return whole(sequences, slots=slots, is_training=True)

    output = jax.eval_shape(trained, state)
    return len(jax.tree.leaves(output.kept)), len(jax.tree.leaves(output))


def _forced(model: CausalLM, tokens: Tokens, tokens_SN: np.ndarray, slots: Array | None) -> np.ndarray:
    """Margins of generated tokens, from one pass over prompts and continuations."""
    num_samples, num_prompt = tokens.prompts_SP.shape
    # In the place of the first sequences, which are as long: so the program is the one that is compiled already.
    whole_BT = tokens.sequences_BT.copy()
    whole_BT[:num_samples] = np.concatenate([tokens.prompts_SP, np.maximum(tokens_SN, 0)], axis=1)
    logits_BTV = forward(model, jnp.asarray(whole_BT, jnp.int32), slots=slots, trace=True).logits_BTV
    return forced_margins(_float32(logits_BTV)[:num_samples, num_prompt - 1 : -1], tokens_SN.astype(np.int64))


def _routing(output: Output) -> np.ndarray:
    """Chosen experts of the sparse layers, sorted."""
    chosen = [np.sort(trace.chosen_BTK, axis=-1) for trace in output.traces if trace.chosen_BTK.shape[-1]]
    if not chosen:
        return np.zeros((0, *output.logits_BTV.shape[:2], 0), np.int64)
    return np.concatenate(chosen).astype(np.int64)


def _stages(output: Output) -> dict[str, np.ndarray]:
    """Every stage of the forward pass, in order and by transformers' names."""
    stages = {"embed_tokens": _float32(output.embedded_BTD)}
    layers = [(trace, index) for trace in output.traces for index in range(len(trace.layer_BTD))]
    for number, (trace, index) in enumerate(layers):
        stages[f"layers.{number}.self_attn"] = _float32(trace.self_attn_BTD[index])
        stages[f"layers.{number}.mlp"] = _float32(trace.mlp_BTD[index])
        stages[f"layers.{number}"] = _float32(trace.layer_BTD[index])
    return stages | {"norm": _float32(output.normed_BTD)}


def _float32(array: Array) -> np.ndarray:
    return np.asarray(array.astype(jnp.float32))
