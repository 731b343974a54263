"""Durations by round to medians, ratios and their spread: arithmetic, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple, TypeVar

Setting = TypeVar("Setting")


class Ratio(NamedTuple):
    """How many times as long one takes as the other."""

    value: float
    """Of the medians over all rounds."""
    low: float
    """The lowest ratio of one round."""
    high: float
    """The highest ratio of one round."""


def ratio(slow_s: Sequence[float], fast_s: Sequence[float]) -> Ratio:
    """`slow_s` over `fast_s`, each with a duration a round: what slows down a round slows down both in it."""
    in_rounds = [slow / fast for slow, fast in zip(slow_s, fast_s, strict=True)]
    return Ratio(median(slow_s) / median(fast_s), min(in_rounds), max(in_rounds))


def fastest(durations_s: Mapping[Setting, Sequence[float]]) -> Setting:
    """The setting with the lowest median over its rounds."""
    return min(durations_s, key=lambda setting: median(durations_s[setting]))
