"""The colour that a weight has in the pictures: what of its delta is there, and whether that is right.

Blue is right, orange to yellow is wrong with less than all of it, purple is wrong with more than all of it or with the
opposite: told apart by lightness and by marks too, for those who see no hues. Knows no shapes and no markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from harness.verify.report import SiteSeen, State

STATES: Mapping[State, str] = {
    "wrong": "something else",
    "missing": "still base's",
    "untold": "could not be compared",
    "lost": "right, and lost to rounding",
    "zero": "the delta is zero, and so is the change",
    "applied": "right",
}
"""In words, gravest first."""
NAMES: Mapping[State, str] = {state: state for state in STATES}
NAMES_OF_ADAPTER: Mapping[State, str] = {
    **NAMES,
    "untold": "adapted",
    "zero": "with a zero delta",
    "wrong": "not finite",
}
"""What states are called where there is no merged checkpoint to compare with."""
RIGHT: frozenset[State] = frozenset(("applied", "lost", "zero"))
NEAR_NONE, NEAR_ALL = 0.1, 0.05
"""What is nearer to 0 or to 1 than this counts as that; deltas of few ranks that have nothing to do with each other are
some hundredths from 0."""
ROUNDED = 0.9
"""A right weight with less of its delta than this has lost a part worth showing to rounding."""


class Tone(NamedTuple):
    """One colour."""

    name: str
    """Of its class in the style."""
    says: str


RIGHT_TONE = Tone("right", "right")
ROUNDED_TONE = Tone("rounded", "right, a part rounded away")
LOST_TONE = Tone("lost", "right, all rounded away")
ZERO_TONE = Tone("zero", "zero delta, no change")
UNTOLD_TONE = Tone("untold", "could not be compared")
OPPOSITE_TONE = Tone("opposite", "the opposite (below 0)")
NONE_TONE = Tone("none", "none of it (0)")
SOME_TONE = Tone("some", "less than half (to 0.5)")
MOST_TONE = Tone("most", "more than half (to 0.95)")
ALL_TONE = Tone("all", "as much, and wrong (1)")
OVER_TONE = Tone("over", "too much (above 1.05)")
TONES = (
    RIGHT_TONE,
    ROUNDED_TONE,
    LOST_TONE,
    ZERO_TONE,
    NONE_TONE,
    SOME_TONE,
    MOST_TONE,
    ALL_TONE,
    OVER_TONE,
    OPPOSITE_TONE,
    UNTOLD_TONE,
)
"""In the order of the legend."""


def finite(value: float | None) -> float | None:
    """`value` where it has a place in a picture: merged weights may hold NaN, and what is computed from them too."""
    return value if value is not None and math.isfinite(value) else None


def tone(site: SiteSeen) -> Tone:
    """The colour of `site`."""
    recovered = finite(site.recovered)
    if site.state == "applied":
        return ROUNDED_TONE if recovered is not None and recovered < ROUNDED else RIGHT_TONE
    if site.state in ("lost", "zero"):
        return LOST_TONE if site.state == "lost" else ZERO_TONE
    if site.state == "missing":
        return NONE_TONE
    if site.state == "untold":
        return UNTOLD_TONE
    return UNTOLD_TONE if recovered is None else _tone_of_wrong(recovered)


def _tone_of_wrong(recovered: float) -> Tone:
    if recovered < -NEAR_NONE:
        return OPPOSITE_TONE
    if recovered <= NEAR_NONE:
        return NONE_TONE
    if recovered < 1 - NEAR_ALL:
        return SOME_TONE if recovered < 0.5 else MOST_TONE
    return ALL_TONE if recovered <= 1 + NEAR_ALL else OVER_TONE
