"""Rotary frequencies against what configurations say: they are in no checkpoint, so nothing restores them.

A cast of the whole model casts them too, and angles at later positions are wrong then. numpy only; the formulas are
those of the papers (RoFormer; Llama 3's scaling), computed in float64.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence

import numpy as np

from harness.records.jobs import FieldValue

NAME = "rotary_frequencies"
TOLERANCE = 1e-5
"""Relative. float32 computes them to 5e-7 (theta to a power); bfloat16 holds them to 2e-3."""


def compare_frequencies(fields: Iterable[FieldValue], held: Sequence[float] | np.ndarray) -> FieldValue:
    """One field: the frequencies that base's configuration means, and those that the model computes with.

    Where a field came back otherwise, that is a finding of its own: frequencies that follow it are as expected.
    """
    declared, loaded = {}, {}
    for field in fields:
        declared[field.name], loaded[field.name] = json.loads(field.expected), json.loads(field.got)
    expected, got = expected_frequencies(declared), np.asarray(held, np.float64)
    is_same = any(
        meant.shape == got.shape and bool(np.allclose(got, meant, rtol=TOLERANCE, atol=0.0))
        for meant in (expected, expected_frequencies(loaded))
    )
    return FieldValue(name=NAME, expected=_text(expected), got=_text(expected if is_same else got))


def expected_frequencies(config: dict[str, object]) -> np.ndarray:
    """(rotated / 2,) of a configuration by our names: default and llama3."""

    def number(name: str, default: float) -> float:
        value = config.get(name)
        return default if value is None else float(str(value))

    head_dim = number("qk_rope_head_dim", number("head_dim", 0.0))
    rotated = int(head_dim * number("partial_rotary_factor", 1.0))
    frequencies = number("rope_theta", 10_000.0) ** (-np.arange(0, rotated, 2) / max(rotated, 1))
    if config.get("rope_scaling.rope_type") != "llama3":
        return frequencies
    factor, low, high = (
        number(f"rope_scaling.{name}", 1.0) for name in ("factor", "low_freq_factor", "high_freq_factor")
    )
    turns = number("rope_scaling.original_max_position_embeddings", 1.0) * frequencies / (2 * math.pi)
    kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return np.asarray(frequencies * (kept + (1 - kept) / factor))


def _text(frequencies: np.ndarray) -> str:
    return json.dumps([float(f"{value:.8g}") for value in frequencies])
