"""Which positions were sent to the same experts: a near-tied router flips at any precision, and is counted apart."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Measurement, Missing


def equally_routed(trained: Outputs, reloaded: Outputs) -> np.ndarray | None:
    """(B, T) True where this and every earlier position of the sequence chose the same experts in every layer.

    Earlier positions count because attention carries their difference on. None if the shapes differ.
    """
    if trained.routing_MBTK.shape != reloaded.routing_MBTK.shape:
        return None
    same_BT = (trained.routing_MBTK == reloaded.routing_MBTK).all(axis=(0, 3))
    return np.logical_and.accumulate(same_BT, axis=1)


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """The share of positions that are routed as in training; nothing for dense models and writes."""
    trained, reloaded = observed.trained, observed.reloaded
    if observed.form == "" or trained is None or not trained.routing_MBTK.size:
        return ()
    name = "equal_routing_share"
    if reloaded is None:
        return (Missing(metric=name, reason="the reloaded model was not observed"),)
    equal_BT = equally_routed(trained, reloaded)
    if equal_BT is None:
        return (Missing(metric=name, reason=f"routing has another shape: {reloaded.routing_MBTK.shape}"),)
    return (Measured(metric=name, value=float(equal_BT.mean()), unit="share", num_compared=equal_BT.size),)
