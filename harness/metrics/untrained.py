"""Adapted tensors that training left as they were: a round trip of a zero delta is perfect.

Not every zero is a fault: an expert that no token reached has no gradient. Which experts are reached at the first step
is the base model's routing, which was observed before training.
"""

from __future__ import annotations

import numpy as np

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table, routed_layers
from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAME = "delta_untrained"


def untrained(observed: Observed) -> frozenset[str]:
    """Canonical names of adapted tensors that tokens reached and whose delta is zero."""
    table = observed.weights
    if table is None:
        return frozenset()
    zero = {str(name) for name in table.name[table.delta_norm == 0]}
    return frozenset(zero & reached(observed))


def reached(observed: Observed) -> frozenset[str]:
    """Canonical names of adapted tensors that some token passed through which a loss was computed of."""
    roles = module_table(observed.family, effective_config(observed.family, observed.case))
    adapted = {name for name in observed.answer.adapted if name in roles}
    routed = routed_layers(roles)
    experts: set[tuple[int, int]] = set()
    if observed.base is not None and len(observed.base.routing_MBTK) == len(routed):
        for layer, chosen_BTK in zip(routed, observed.base.routing_MBTK, strict=True):
            # Nothing is learnt from what follows the last token.
            experts |= {(layer, int(expert)) for expert in np.unique(chosen_BTK[:, :-1])}
    return frozenset(
        name for name in adapted if roles[name].expert is None or (roles[name].layer, roles[name].expert) in experts
    )


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many there are. Writes only."""
    if observed.form != "":
        return ()
    if observed.weights is None or observed.base is None:
        return (Missing(metric=NAME, reason="the weights were not compared"),)
    count = float(len(untrained(observed)))
    return (Measured(metric=NAME, value=count, unit="tensors", num_compared=len(reached(observed))),)
