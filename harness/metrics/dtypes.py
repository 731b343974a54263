"""Stored dtypes: those of base, tensor by tensor. What else a case stores (float32 routers) base stores so too."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed
from harness.metrics.weight_table import WeightTable
from harness.records.results import Measured, Measurement, Missing

NAME = "dtype_changed"


def changed(table: WeightTable) -> np.ndarray:
    """(rows,) True where a tensor is stored in another dtype than base's."""
    is_other: np.ndarray = (table.stored_dtype != "") & (table.stored_dtype != table.base_dtype)
    return is_other


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How many tensors there are. Writes only: a model that was loaded is of the dtype that was asked for."""
    if observed.form != "":
        return ()
    table = observed.weights
    if table is None:
        return (Missing(metric=NAME, reason="the weights were not compared"),)
    num_stored = int((table.stored_dtype != "").sum())
    return (Measured(metric=NAME, value=float(changed(table).sum()), unit="tensors", num_compared=num_stored),)
