"""Logits that are not numbers: a divergence cannot be made of them, so they are counted for themselves."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAME = "logits_not_finite"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many logits are NaN or infinite: of the trained model for a write, of the reloaded one for a route."""
    outputs = observed.reloaded if observed.form else observed.trained
    if outputs is None:
        return (Missing(metric=NAME, reason="no logits were observed"),)
    count = int((~np.isfinite(outputs.logits_BTV)).sum())
    return (Measured(metric=NAME, value=float(count), unit="logits", num_compared=outputs.logits_BTV.size),)
