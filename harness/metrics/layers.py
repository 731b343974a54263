"""Where in the forward pass two models begin to differ."""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Outputs

NOISE = {"float32": 1e-4, "bfloat16": 5e-2}
"""Relative difference of a stage's output below which it is noise. Only names a place; judges nothing."""


def first_diverging(trained: Outputs | None, reloaded: Outputs | None, dtype: str) -> str:
    """The first stage whose output differs by more than noise, with the relative difference; empty if none does."""
    if trained is None or reloaded is None:
        return ""
    for stage, expected in trained.stages.items():
        got = reloaded.stages.get(stage)
        if got is None or got.shape != expected.shape:
            return f"{stage} (not there)" if got is None else f"{stage} (shape {got.shape}, was {expected.shape})"
        norm = float(np.linalg.norm(expected.astype(np.float64)))
        difference = float(np.linalg.norm(got.astype(np.float64) - expected)) / max(norm, 1e-30)
        if not difference <= NOISE[dtype]:
            return f"{stage} (relative difference {difference:.2g})"
    return ""
