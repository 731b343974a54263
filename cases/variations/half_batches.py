"""The sequences are computed in two batches of half the size: other shapes, other kernels, sums in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.injecting import Scene


def strike(scene: Scene) -> None:
    """Observed half by half, and put together."""

    def halved(original: Any) -> Any:
        def observe(model: Any, tokens: Any) -> Any:
            from dataclasses import replace

            halves = np.array_split(tokens.sequences_BT, 2)
            first, second = (original(model, tokens._replace(sequences_BT=half)) for half in halves)
            return replace(
                first,
                logits_BTV=np.concatenate([first.logits_BTV, second.logits_BTV]),
                routing_MBTK=np.concatenate([first.routing_MBTK, second.routing_MBTK], axis=1),
                stages={name: np.concatenate([first.stages[name], second.stages[name]]) for name in first.stages},
                sequences_BT=tokens.sequences_BT,
            )

        return observe

    scene.patch("reference.torch_peft.observing:observe", halved)
