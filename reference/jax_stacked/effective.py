"""The oracle: what the live forward pass adds to each weight, read before anything is merged or saved.

Each module answers on basis inputs, with the slot and without, in float64, so that the oracle adds no rounding of its
own. No formula for a delta is written here a second time. Suffixes: `I` in, `O` out, `E` experts, `F` expert width.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from reference.jax_stacked.experts import Experts
from reference.jax_stacked.lora import Embedding, Linear
from reference.jax_stacked.model import CausalLM
from reference.jax_stacked.slots import Slots

Answer = Callable[[Array | None], Array]
"""What a module gives for its basis inputs, with a slot or without."""


def effective_deltas(slots: Slots, slot: int) -> dict[str, np.ndarray]:
    """Name of each weight that the adapter in `slot` adapts, experts one by one, to its delta (out, in), float32.

    A tensor that is adapted but untrained is there with a zero delta.
    """
    adapted = slots.extract(slot).factors
    deltas: dict[str, np.ndarray] = {}
    with jax.enable_x64(True):
        chosen = jnp.asarray(slot)
        for path, module in _modules(slots.model, adapted):
            if isinstance(module, Experts):
                parts = {
                    part
                    for part in ("gate_up_proj", "gate_proj", "up_proj", "down_proj")
                    if f"{path}.{part}" in adapted
                }
                for part, delta in _expert_deltas(module, parts, chosen).items():
                    deltas |= {f"{path}.{expert}.{part}.weight": matrix for expert, matrix in enumerate(delta)}
            else:
                deltas[f"{path}.weight"] = _delta(module, chosen)
    return deltas


def _modules(model: CausalLM, adapted: Any) -> list[tuple[str, Linear | Embedding | Experts]]:
    """The modules that hold something adapted, widened to float64, by transformers' paths."""
    found: list[tuple[str, Linear | Embedding | Experts]] = []
    places: list[tuple[str, nnx.Module]] = [
        (f"model.layers.{index}", layer) for index, layer in enumerate(model.model.layers)
    ]
    places += [("model.embed_tokens", model.model.embed_tokens)]
    places += [] if model.lm_head is None else [("lm_head", model.lm_head)]
    for prefix, place in places:
        for entries, module in nnx.iter_modules(place):
            path = ".".join([prefix, *(str(entry) for entry in entries)])
            is_held = path in adapted or (
                isinstance(module, Experts) and any(p.startswith(f"{path}.") for p in adapted)
            )
            if is_held and isinstance(module, Linear | Embedding | Experts):
                found.append((path, _widened(module)))
    return found


def _widened(module: Linear | Embedding | Experts) -> Linear | Embedding | Experts:
    graph, state = nnx.split(module)
    widened: Linear | Embedding | Experts = nnx.merge(
        graph, jax.tree.map(lambda array: jnp.asarray(np.asarray(array, np.float64)), state)
    )
    return widened


def _difference(answer: Answer, slot: Array) -> np.ndarray:
    difference: np.ndarray = np.asarray(answer(slot) - answer(None)).astype(np.float32)
    return difference


def _delta(module: Linear | Embedding, slot: Array) -> np.ndarray:
    """The delta of a weight (out, in), or of an embedding (V, D)."""
    if isinstance(module, Embedding):
        tokens = jnp.arange(module.embedding.shape[0])[None]
        return _difference(lambda used: module(tokens, used)[0], slot)
    basis_II = jnp.eye(module.kernel.shape[0])[None]
    # Rows are what each basis input yields, so the weight (out, in) is their transpose. A bias cancels.
    return _difference(lambda used: module(basis_II, used)[0], slot).T


def _expert_deltas(experts: Experts, adapted: set[str], slot: Array) -> dict[str, np.ndarray]:
    """The deltas of what is adapted of gate_proj, up_proj (E, F, D) and down_proj (E, D, F)."""
    deltas: dict[str, np.ndarray] = {}
    basis_DD = jnp.eye(experts.gate_up_proj.kernel.shape[1])[None]
    for half, part in enumerate(("gate_proj", "up_proj")):
        if adapted & {part, "gate_up_proj"}:
            answer = partial(_half, experts, basis_DD, half)
            deltas[part] = _difference(answer, slot).transpose(1, 2, 0)
    if "down_proj" in adapted:
        num_experts = experts.down_proj.kernel.shape[0]
        deltas["down_proj"] = np.stack([_down_delta(experts, expert, slot) for expert in range(num_experts)])
    return deltas


def _half(experts: Experts, basis_DD: Array, half: int, slot: Array | None) -> Array:
    return experts.gate_up(basis_DD, slot)[half][0]


def _down_delta(experts: Experts, expert: int, slot: Array) -> np.ndarray:
    num_experts, width, _ = experts.down_proj.kernel.shape
    basis_FEF = jnp.zeros((width, num_experts, width)).at[:, expert].set(jnp.eye(width))[None]
    weights_FE = jnp.ones((1, width, num_experts))
    return _difference(lambda used: experts.down(basis_FEF, weights_FE, used)[0], slot).T
