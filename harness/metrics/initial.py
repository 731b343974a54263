"""How an adapter begins: the standard deviation of each factor A against that of the uniform draw that PEFT makes.

`reset_lora_parameters` of PEFT draws A as kaiming_uniform(a = sqrt(5)): uniform within 1/sqrt(in), whatever the number
of layers and experts. Training moves A far from there, so it must be looked at before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing

NAME = "initial_scale_error"
STD_OF_STD = math.sqrt(0.2)
"""Relative standard error of the standard deviation of n uniform numbers, times sqrt(n): sqrt((kurtosis - 1) / 4)."""


def scales(factors_A: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Name to (standard deviation over PEFT's, number of values), of factors A (..., rank, in)."""
    expected = {name: 1 / math.sqrt(3 * A.shape[-1]) for name, A in factors_A.items()}
    return {
        name: [float(np.sqrt(np.square(A, dtype=np.float64).mean())) / expected[name], float(A.size)]
        for name, A in factors_A.items()
    }


def errors(observed: Observed) -> dict[str, float]:
    """Name to distance from PEFT's, in standard errors of so many values."""
    began: Mapping[str, list[float]] = observed.answer.notes.get("initial", {})
    return {name: abs(ratio - 1) * math.sqrt(size) / STD_OF_STD for name, (ratio, size) in began.items()}


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """The largest distance. Writes only."""
    if observed.form != "":
        return ()
    found = errors(observed)
    if not found:
        return (Missing(metric=NAME, reason="no factor was seen before the first step"),)
    return (Measured(metric=NAME, value=max(found.values()), unit="standard errors", num_compared=len(found)),)
