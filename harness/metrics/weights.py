"""What the weights themselves say: how much of each trained delta is there, and whether anything else moved."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAMES = ("weight_residual_max", "weight_residual_total", "recovered_min", "passthrough_changed", "weights_unusable")


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """The worst and the total relative residual, the least recovered fraction, and changes outside the adapter.

    The residual of a tensor is ‖got − round(base + delta)‖ / ‖delta‖: dimensionless, 0 for a perfect merge, 1 for a
    delta that is not there. Tensors whose delta is lost to rounding are left out of the worst, and stay in the total.
    """
    table = observed.weights
    if table is None:
        return tuple(Missing(metric=name, reason="the weights were not compared") for name in NAMES)
    targeted = table.delta_norm > 0
    measurable = targeted & ~table.lost
    found: list[Measurement] = []
    if not np.isfinite(table.delta_norm).all():
        found += [Missing(metric=name, reason="the trained delta is not finite") for name in NAMES[:3]]
    elif measurable.any():
        ratios = table.residual_norm[measurable] / table.delta_norm[measurable]
        total = np.sqrt((table.residual_norm[targeted] ** 2).sum() / (table.delta_norm[targeted] ** 2).sum())
        count = int(measurable.sum())
        found.append(Measured(metric=NAMES[0], value=float(ratios.max()), unit="ratio", num_compared=count))
        found.append(Measured(metric=NAMES[1], value=float(total), unit="ratio", num_compared=int(targeted.sum())))
        worst = float(table.recovered[measurable].min())
        found.append(Measured(metric=NAMES[2], value=worst, unit="fraction", num_compared=count))
    else:
        found += [Missing(metric=name, reason="no tensor has a delta that its dtype can hold") for name in NAMES[:3]]
    others = ~targeted
    changed = int((table.changed & others).sum())
    found.append(Measured(metric=NAMES[3], value=float(changed), unit="tensors", num_compared=int(others.sum())))
    unusable = int((~table.present | ~table.shape_ok | ~table.finite).sum()) + len(table.unexpected)
    found.append(Measured(metric=NAMES[4], value=float(unusable), unit="tensors", num_compared=len(table.name)))
    return tuple(found)
