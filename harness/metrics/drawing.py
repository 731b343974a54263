"""Drawn samples: one seed gives as many different samples as are asked for."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement

NAME = "samples_repeated"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Drawn samples that are equal to another one before them; nothing where the stack does not draw any."""
    models = [observed.reloaded] if observed.form else [observed.base, observed.trained]
    drawn = [outputs.drawn_SN for outputs in models if outputs is not None and outputs.drawn_SN is not None]
    if not drawn:
        return ()
    num_drawn = sum(len(samples_SN) for samples_SN in drawn)
    num_distinct = sum(len(np.unique(samples_SN, axis=0)) for samples_SN in drawn)
    return (Measured(metric=NAME, value=float(num_drawn - num_distinct), unit="samples", num_compared=num_drawn),)
