"""Some rows of a weight, and which way it changed in them: what a cause is chosen by, before it is believed.

Judges nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from harness.verify.blocks import read_rows
from harness.verify.dtypes import widen
from harness.verify.evidence import Evidence, Pairing
from harness.verify.factors import LowRank
from harness.verify.places import Place
from harness.verify.workspace import Workspace

SAMPLE_ROWS = 16
"""Of the wrong ones, and as many of all."""


class Sample(NamedTuple):
    """Some rows of a weight in its own orientation, float32."""

    rows: np.ndarray
    base: np.ndarray
    merged: np.ndarray


class Direction(NamedTuple):
    """Of a change against a delta."""

    cosine: float
    factor: float
    """By which the delta, as far as it shows, is in the change."""


def direction_of(delta: LowRank, sample: Sample) -> Direction:
    """Of the sample's change against a delta; nothing, if that has another shape."""
    if delta.left.shape[0] <= int(sample.rows.max(initial=0)) or delta.right.shape[1] != sample.base.shape[1]:
        return Direction(0.0, 0.0)
    product = product_of(delta, sample)
    change = sample.merged.astype(np.float64) - sample.base
    squared, across = float((product**2).sum()), float((product * change).sum())
    norm = math.sqrt(squared * float((change**2).sum()))
    return Direction(across / norm if norm > 0 else 0.0, across / squared if squared > 0 else 0.0)


def product_of(delta: LowRank, sample: Sample) -> np.ndarray:
    """The delta in the sample's rows, float64."""
    product: np.ndarray = (delta.left[sample.rows] @ delta.right).astype(np.float64) * delta.scale
    return product


def sample_of(pairing: Pairing, evidence: Evidence, space: Workspace) -> Sample:
    """Rows that are wrong and as many of all, evenly over the weight; where it is walked by columns, any."""
    every = np.arange(pairing.base.shape[0])
    wrong = every if pairing.flipped else evidence.wrong_lines
    rows = np.unique(np.concatenate([_spread(wrong), _spread(every)]))
    return Sample(rows, rows_of(pairing.base, rows, space), rows_of(pairing.merged, rows, space))


def _spread(rows: np.ndarray) -> np.ndarray:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(SAMPLE_ROWS, len(rows))).astype(np.int64))]


def rows_of(place: Place, rows: np.ndarray, space: Workspace) -> np.ndarray:
    """These rows of a weight, in its own orientation, float32."""
    read = (read_rows(space.files, place, False, int(row), int(row) + 1, space.buffers, "sample") for row in rows)
    return np.concatenate([widen(bits, place.entry.dtype).copy() for bits in read])
