"""Where in the forward pass a reloaded model leaves the trained one's path, and by how much it is off at most.

A stage is compared at the positions that were routed alike up to there, and so were all before them. What hurts a
position makes its router choose otherwise behind the hurt, so a comparison of whole passes leaves such positions out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import module_table, routed_layers
from harness.metrics.observed import Observed, Outputs
from harness.records.results import Measured, Measurement, Missing

NAME = "stage_error_max"
LAYER = re.compile(r"layers\.(\d+)(?:\.(\w+))?")
ROUTED = ("mlp", None)
"""The parts of a layer behind its router: its experts, and the whole of it."""


class StageError(NamedTuple):
    """One stage of the forward pass: the output of a module."""

    stage: str
    error: float
    """Norm of the difference over that of the trained model's output; infinite where there is nothing to compare."""
    num_compared: int
    """Positions."""
    problem: str = ""
    """Why there is nothing to compare."""

    @property
    def layer(self) -> int | None:
        """The layer that it is in, or is."""
        return _layer_of(self.stage)[0]

    def __str__(self) -> str:
        return f"{self.stage} ({self.problem or f'relative difference {self.error:.2g}'})"


def stage_errors(observed: Observed) -> tuple[StageError, ...]:
    """Every stage that some position came to alike, in order; empty where a model was not observed."""
    trained, reloaded = observed.trained, observed.reloaded
    if trained is None or reloaded is None:
        return ()
    pending = _routed_alike(observed, trained, reloaded)
    alike_BT = np.ones(trained.logits_BTV.shape[:2], dtype=bool)
    found = []
    for stage, expected in trained.stages.items():
        layer, part = _layer_of(stage)
        while pending and layer is not None and (pending[0][0] < layer or (pending[0][0] == layer and part in ROUTED)):
            # Attention carries a difference on to later positions.
            alike_BT = alike_BT & np.logical_and.accumulate(pending.pop(0)[1], axis=1)
        if error := _compare(stage, expected, reloaded.stages, alike_BT):
            found.append(error)
    return tuple(found)


def first_beyond(observed: Observed, bound: float) -> StageError | None:
    """The first stage that is off by more than `bound`; None if none is."""
    return next((error for error in stage_errors(observed) if not error.error <= bound), None)


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """How far off the worst stage is. Routes only."""
    if observed.form == "":
        return ()
    errors = stage_errors(observed)
    broken = next((error for error in errors if not math.isfinite(error.error)), None)
    if broken is not None or not errors:
        return (Missing(metric=NAME, reason=str(broken or "no stage of the forward pass was observed")),)
    value = max(error.error for error in errors)
    return (Measured(metric=NAME, value=value, unit="ratio", num_compared=sum(each.num_compared for each in errors)),)


def _compare(
    stage: str, expected_BTD: np.ndarray, stages: Mapping[str, np.ndarray], alike_BT: np.ndarray
) -> StageError | None:
    got_BTD = stages.get(stage)
    if got_BTD is None:
        return StageError(stage, math.inf, 0, "not there")
    if got_BTD.shape != expected_BTD.shape:
        return StageError(stage, math.inf, 0, f"shape {got_BTD.shape}, was {expected_BTD.shape}")
    if not alike_BT.any():
        return None
    expected = expected_BTD[alike_BT].astype(np.float64)
    norm = max(float(np.linalg.norm(expected)), 1e-30)
    return StageError(stage, float(np.linalg.norm(got_BTD[alike_BT] - expected)) / norm, int(alike_BT.sum()))


def _routed_alike(observed: Observed, trained: Outputs, reloaded: Outputs) -> list[tuple[int, np.ndarray]]:
    """Layer and (B, T) True where it chose the same experts; nothing where it cannot be told."""
    layers = routed_layers(module_table(observed.family, effective_config(observed.family, observed.case)))
    wanted, got = trained.routing_MBTK, reloaded.routing_MBTK
    if wanted.shape != got.shape or len(wanted) != len(layers):
        return []
    return list(zip(layers, (wanted == got).all(axis=-1), strict=True))


def _layer_of(stage: str) -> tuple[int | None, str | None]:
    found = LAYER.fullmatch(stage)
    return (int(found[1]), found[2]) if found else (None, None)
