"""What rounding to a stored dtype is, and by how much it may be off. Data alone."""

from __future__ import annotations

from typing import NamedTuple

UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
ROUNDOFF = {"F32": UNIT_ROUNDOFF, "F16": 2.0**-11, "BF16": 2.0**-8}
"""Half the distance of neighbours, relative, by dtype as safetensors spells it."""


class Rounding(NamedTuple):
    """Rounding a float32 number to a stored dtype (nearest, ties to even) by its bits: add, then mask.

    float16's subnormals, which have fewer bits than the formula leaves, are for `explain`.
    """

    half: int
    shift: int
    one: int
    mask: int
    subnormal: float
    """Below it numbers have a distance of their own; 0 where the formula is right for them too."""
    distance: float
    largest: float
    """From here on it is infinity."""


def _rounding(dropped_bits: int, subnormal: float, distance: float, largest: float) -> Rounding:
    mask = (0xFFFFFFFF >> dropped_bits) << dropped_bits
    half = (1 << (dropped_bits - 1)) - 1 if dropped_bits else 0
    return Rounding(half, dropped_bits, 1 if dropped_bits else 0, mask, subnormal, distance, largest)


ROUNDINGS = {
    "F32": _rounding(0, 0.0, 1.0, 2.0**128),
    "BF16": _rounding(16, 0.0, 1.0, (2.0 - 2.0**-8) * 2.0**127),
    "F16": _rounding(13, 2.0**-14, 2.0**-24, 65520.0),
}
