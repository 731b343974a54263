"""Greedy samples: how many of the trained model's continuations come back, and how near a tie the others were."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Measurement, Missing


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Samples equal to the trained model's (of the base: the signal; of the reloaded: the check)."""
    found = [_equal("samples_base_equal", observed.trained, observed.base)]
    if observed.form == "":
        return tuple(found)
    trained, reloaded = observed.trained, observed.reloaded
    found.append(_equal("samples_equal", trained, reloaded))
    if trained is not None and reloaded is not None and trained.tokens_SN.shape == reloaded.tokens_SN.shape:
        differs_SN = trained.tokens_SN != reloaded.tokens_SN
        margins = [
            float(trained.margins_SN[row, int(np.argmax(differs_SN[row]))])
            for row in range(len(differs_SN))
            if differs_SN[row].any()
        ]
        if margins:
            found.append(_largest("sample_margin_max", margins))
    return tuple(found)


def _largest(name: str, margins: list[float]) -> Measurement:
    if not np.isfinite(margins).all():  # max would pass over a NaN or stop at it, as it happens to lie
        return Missing(metric=name, reason="the trained model's logits are not finite")
    return Measured(metric=name, value=max(margins), unit="logits", num_compared=len(margins))


def _equal(name: str, trained: Outputs | None, other: Outputs | None) -> Measurement:
    if trained is None or other is None:
        return Missing(metric=name, reason="these samples were not generated")
    if trained.tokens_SN.shape != other.tokens_SN.shape:
        return Missing(metric=name, reason=f"shapes {trained.tokens_SN.shape} and {other.tokens_SN.shape}")
    equal = int((trained.tokens_SN == other.tokens_SN).all(axis=1).sum())
    return Measured(metric=name, value=float(equal), unit="samples", num_compared=len(trained.tokens_SN))
