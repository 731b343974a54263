"""Contradictions in what a write saved: files that cannot be read, or that say two things of one tensor."""

from __future__ import annotations

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAME = "saved_contradictions"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many there are. Writes only."""
    if observed.form != "":
        return ()
    if observed.weights is None:
        return (Missing(metric=NAME, reason="what was saved was not read"),)
    count = float(len(observed.answer.contradictions))
    return (Measured(metric=NAME, value=count, unit="contradictions", num_compared=len(observed.weights.name)),)
