"""What stacking replaces: the same model as a Python loop over layers that each have weights of their own.

For comparison only. It has what training asks of a model, so the same training drives both.
Suffixes: `B` batch, `T` time, `D` hidden.
"""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from reference.jax_stacked.model import CausalLM, Output


class UnrolledLM(nnx.Module):
    """The layers of a model taken out of their stacks."""

    def __init__(self, stacked: CausalLM) -> None:
        self.lora = stacked.lora
        self.layers = nnx.List(list(stacked.model.layers))
        # Its own stacks stay behind: what is in them would be trained, and never used.
        del stacked.model.layers
        self.rest = stacked

    def __call__(
        self,
        tokens_BT: Array,
        *,
        mask_BT: Array | None = None,
        slots: Array | None = None,
        is_training: bool = True,
        checkpointing: bool = False,
    ) -> Output:
        """Logits of every position, as the stacked model's."""
        positions = self.rest.positions(tokens_BT, mask_BT, slots)
        embedded_BTD = x_BTD = self.rest.model.embed_tokens(tokens_BT, slots)
        for layer in self.layers:
            graph, state = nnx.split(layer)

            def through(state: nnx.State, x_BTD: Array, graph: nnx.GraphDef = graph) -> Array:
                return nnx.merge(graph, state)(x_BTD, positions)[0]

            x_BTD = (jax.checkpoint(through) if checkpointing else through)(state, x_BTD)
        normed_BTD = self.rest.model.norm(x_BTD)
        return Output(self.rest.head(normed_BTD, slots), [], embedded_BTD, normed_BTD, [])
