"""`python -m bench.jax_side`: the measured process of our JAX stack, run by the jax row's interpreter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from bench.jax_unrolled import UnrolledLM
from bench.serving import Task, serve
from bench.work import Decode, Step
from reference.jax_stacked.checkpoints import load_model
from reference.jax_stacked.generation import generate, unrolled
from reference.jax_stacked.lora import LoraSpec
from reference.jax_stacked.slots import Shape, Slots, fresh_adapter, targets_of
from reference.jax_stacked.training import AdapterOptimizer, Batch, accumulate, no_gradients

SLOT = 0


def make_task(work: Decode | Step) -> Task:
    """`work`, ready to be done."""
    return _decode(work) if isinstance(work, Decode) else _step(work)


def _decode(work: Decode) -> Task:
    model = unrolled(load_model(Path(work.checkpoint)))
    prompts = jnp.asarray(work.prompts, jnp.int32)

    def run() -> list[list[int]]:
        tokens: list[list[int]] = generate(
            model, prompts, max_new_tokens=work.num_new, stop_tokens=()
        ).tokens_BN.tolist()
        return tokens

    return Task(run)


def _step(work: Step) -> Task:
    adapted = frozenset(work.modules + work.experts)
    stacked = load_model(Path(work.checkpoint), lora=LoraSpec(num_slots=1, max_rank=work.rank, targets=adapted))
    targets = {path: target for path, target in targets_of(stacked).items() if path.split(".", 3)[-1] in adapted}
    shape = Shape(work.rank, 2 * work.rank)
    Slots(stacked).insert(SLOT, fresh_adapter(targets, lambda _path: shape))
    model: Any = UnrolledLM(stacked) if work.unrolled else stacked
    sequences = jnp.asarray(work.sequences, jnp.int32)
    batch = Batch(sequences, sequences, jnp.full(len(sequences), SLOT, jnp.int32))
    optimizer = AdapterOptimizer(model, learning_rate=1e-3)
    gradients = no_gradients(model)

    def run() -> float:
        nonlocal gradients
        gradients = accumulate(model, batch, gradients, checkpointing=work.checkpointing)
        loss = float(gradients.loss_S[SLOT] / gradients.tokens_S[SLOT])
        gradients = optimizer.step(SLOT, gradients)
        gradients.loss_S.block_until_ready()  # with it, all that the step's program has made
        return loss

    return Task(run, reset=jax.clear_caches) if work.fresh else Task(run)


if __name__ == "__main__":
    serve(make_task)
