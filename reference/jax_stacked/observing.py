"""What a model computes on a case's tokens, in the form that every stack observes it: see `harness.metrics.observed`.

Suffixes: `B` sequences, `T` tokens, `D` hidden, `M` sparse layers, `K` chosen experts.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from harness.metrics.observed import Outputs
from reference.data import NEW_TOKENS, Tokens
from reference.jax_stacked.generation import generate
from reference.jax_stacked.model import CausalLM, Output, forward


def observe(model: CausalLM, tokens: Tokens, slots: Array | None) -> Outputs:
    """Run `model` with the adapter in `slots` on the evaluation sequences and the prompts."""
    output = forward(model, jnp.asarray(tokens.sequences_BT, jnp.int32), slots=slots, trace=True)
    made = generate(model, tokens.prompts_SP, max_new_tokens=NEW_TOKENS, slots=slots)
    return Outputs(
        logits_BTV=_float32(output.logits_BTV),
        tokens_SN=made.tokens_BN.astype(np.int64),
        margins_SN=made.margins_BN.astype(np.float64),
        routing_MBTK=_routing(output),
        stages=_stages(output),
    )


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
