"""The sequences stand in another order in the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.injecting import Scene


def strike(scene: Scene) -> None:
    """Observed in another order, and put back into the first."""
    seed = scene.draw.randrange(2**32)

    def shuffled(original: Any) -> Any:
        def observe(model: Any, tokens: Any) -> Any:
            from dataclasses import replace

            order = np.random.default_rng(seed).permutation(len(tokens.sequences_BT))
            back = np.argsort(order)
            outputs = original(model, tokens._replace(sequences_BT=tokens.sequences_BT[order]))
            return replace(
                outputs,
                logits_BTV=outputs.logits_BTV[back],
                routing_MBTK=outputs.routing_MBTK[:, back],
                stages={name: values[back] for name, values in outputs.stages.items()},
                sequences_BT=tokens.sequences_BT,
            )

        return observe

    scene.patch("reference.torch_peft.observing:observe", shuffled)
