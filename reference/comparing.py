"""The weights that a job has before it against the oracle: the table, and what a wrong delta was mistaken for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkpoints.packing import misread_tensors
from harness.errors import ArtifactError
from harness.metrics.weight_table import WeightTable, compare_weights
from harness.records.cases import Family
from reference.stored import Stored

FAR_OFF = 0.1
"""Residual over delta above which it is worth asking what the delta was mistaken for."""


def compare(
    base: Stored,
    deltas: Mapping[str, np.ndarray],
    got: Mapping[str, np.ndarray],
    *,
    stored: bool,
    dtypes: Mapping[str, str] | None = None,
    adapter: Path,
    family: Family,
    config: Mapping[str, Any],
) -> tuple[WeightTable, dict[str, str]]:
    """The weight table, and canonical name to kind for deltas that are `adapter`'s factors read another way.

    `dtypes` are those in which `got` was stored, by canonical name.
    """
    table = compare_weights(base, deltas, got, stored=stored, dtypes=dtypes)
    off = (table.delta_norm > 0) & table.changed & (table.residual_norm > FAR_OFF * table.delta_norm)
    wrong = frozenset(str(name) for name in table.name[off])
    if not wrong:
        return table, {}

    def true_delta(name: str) -> np.ndarray:
        return deltas.get(name, np.zeros_like(base[name][1]))

    def got_delta(name: str) -> np.ndarray:
        return got[name] - base[name][1] if name in got else np.zeros_like(base[name][1])

    try:
        return table, misread_tensors(adapter, family, config, wrong, true_delta, got_delta)
    except ArtifactError:
        return table, {}  # an adapter that cannot be read names no cause; the write tells of it
