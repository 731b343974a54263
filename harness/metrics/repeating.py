"""Evaluation is repeatable: a second pass over the same tokens gives the same bits, or something in it is random."""

from __future__ import annotations

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAME = "logits_unrepeated"


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many logits a second pass gave otherwise: of base and trained for a write, of the reloaded for a route."""
    models = [observed.reloaded] if observed.form else [observed.base, observed.trained]
    told = [outputs for outputs in models if outputs is not None and outputs.unrepeated is not None]
    if len(told) < len(models):
        return (Missing(metric=NAME, reason="no second pass was observed"),)
    count = float(sum(int(outputs.unrepeated) for outputs in told if outputs.unrepeated is not None))
    return (
        Measured(
            metric=NAME, value=count, unit="logits", num_compared=sum(outputs.logits_BTV.size for outputs in told)
        ),
    )
