"""Expert-merge counts, taken from the weights and never from a counter that the code under test prints.

Attempted: expert projections (gate, up, down each) whose delta is not zero. Applied: those whose delta is there.
Fallback: the rest. Zero-delta targets and deltas that the dtype cannot hold are counted apart.
"""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed
from harness.metrics.weight_table import WeightTable
from harness.records.results import Measured, Measurement, Missing

APPLIED_RESIDUAL = 0.5
"""Residual over delta below which a delta counts as applied: halfway between there (0) and missing (1)."""


def count(table: WeightTable) -> dict[str, int]:
    """attempted, applied, fallback, lost_to_rounding and zero_delta of the expert projections in `table`."""
    expert = np.char.count(table.name, ".experts.") > 0
    attempted = expert & (table.delta_norm > 0)
    lost = attempted & table.lost
    # Of a tensor that is not there, or cannot be used, the residual is all of the delta.
    applied = attempted & ~lost & (table.residual_norm <= APPLIED_RESIDUAL * table.delta_norm)
    return {
        "attempted": int(attempted.sum()),
        "applied": int(applied.sum()),
        "fallback": int((attempted & ~lost & ~applied).sum()),
        "lost_to_rounding": int(lost.sum()),
        "zero_delta": int((expert & (table.delta_norm == 0)).sum()),
    }


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Expert projections that do not show their delta; nothing for dense models."""
    trained = observed.trained
    if trained is not None and not trained.routing_MBTK.size:
        return ()
    if observed.weights is None:
        return (Missing(metric="experts_fallback", reason="the weights were not compared"),)
    counts = count(observed.weights)
    if not counts["attempted"]:
        if any(".experts." in name for name in observed.written.adapted):
            return (
                Missing(metric="experts_fallback", reason="experts are adapted, and no delta of theirs is not zero"),
            )
        return ()  # nobody adapted an expert; coverage says whether anybody should have
    return (
        Measured(
            metric="experts_fallback",
            value=float(counts["fallback"]),
            unit="projections",
            num_compared=counts["attempted"],
        ),
    )
