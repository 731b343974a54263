"""Whether contenders have computed the same: without that, their speeds say nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

LOSS_TOLERANCE = 1e-4
"""Relative. Whether a stack computes exactly what the other does is for the tests to say."""


def difference(results: Mapping[str, Any]) -> str:
    """In which the first of `results` and another differ, each being a loss, or rows of tokens; empty if in nothing."""
    (first, wanted), *others = results.items()
    for name, got in others:
        if isinstance(wanted, float):
            if not math.isclose(wanted, got, rel_tol=LOSS_TOLERANCE):
                return f"the loss is {wanted:.6g} with {first}, and {got:.6g} with {name}"
        elif wanted != got:
            return f"the tokens differ: {_first_difference(wanted, got)} with {first} and {name}"
    return ""


def _first_difference(wanted: list[list[int]], got: list[list[int]]) -> str:
    if [len(row) for row in wanted] != [len(row) for row in got]:
        return f"there are {[len(row) for row in wanted]} and {[len(row) for row in got]}"
    return next(
        f"in row {row}, new token {index} is {one} and {other}"
        for row, pair in enumerate(zip(wanted, got, strict=True))
        for index, (one, other) in enumerate(zip(*pair, strict=True))
        if one != other
    )
