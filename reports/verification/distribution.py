"""How the recovered delta is distributed over all adapted weights: a histogram, and a table of it in words.

Right weights and others are counted apart in each bin, so that one lost expert stands beside thousands that are not.
Knows no markup.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from harness.verify.report import SiteSeen, State
from reports.text import number
from reports.verification.tones import RIGHT, STATES, finite

PER_ONE = 20
"""Bins from 0 to 1."""
FIRST, LAST = -10, 50
"""Bins of -0.5 and 2.5, in which what lies beyond is counted too."""


TICKS = tuple(
    (round(value * PER_ONE) - FIRST, says)
    for value, says in (
        (FIRST / PER_ONE, "≤ -0.5"),
        (0, "0 none"),
        (0.5, "0.5"),
        (1, "1 all"),
        (1.5, "1.5"),
        (2, "2 twice"),
        (LAST / PER_ONE, "≥ 2.5"),
    )
)
COUNTS = tuple(10**power for power in range(7))
"""What the scale may name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Weights with about as much of their delta."""

    index: int
    """Of those of the histogram, from 0."""
    title: str
    num_right: int
    num_others: int
    right_height: float
    """On a scale of logarithms, from 0 to 1."""
    others_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A line of the scale."""

    count: int
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Bins that are not empty, in their order."""

    bins: tuple[Bin, ...]
    levels: tuple[Level, ...]
    ticks: tuple[tuple[int, str], ...]
    """Bins that the axis names."""
    num_bins: int
    num_left_out: int
    """Weights that have no recovered delta: it is zero, or could not be compared."""


class StateRow(NamedTuple):
    """All weights in one state."""

    state: State
    says: str
    num: int
    recovered: str
    """The least and the most; empty if there is none."""
    residual: str
    """The most."""
    wrong_elements: str


def histogram(sites: Iterable[SiteSeen]) -> Histogram | None:
    """The histogram of `recovered`; None if no weight has it."""
    right: Counter[int] = Counter()
    others: Counter[int] = Counter()
    num_left_out = 0
    for site in sites:
        recovered = finite(site.recovered)
        if recovered is None:
            num_left_out += 1
        else:
            index = round(min(max(recovered * PER_ONE, FIRST), LAST))
            (right if site.state in RIGHT else others)[index] += 1
    if not right and not others:
        return None
    top = math.log10(1 + max([*right.values(), *others.values()]))
    return Histogram(
        bins=tuple(
            Bin(
                index=index - FIRST,
                title=_bin_title(index, right[index], others[index]),
                num_right=right[index],
                num_others=others[index],
                right_height=math.log10(1 + right[index]) / top,
                others_height=math.log10(1 + others[index]) / top,
            )
            for index in sorted({*right, *others})
        ),
        levels=tuple(
            Level(count=count, height=height) for count in COUNTS if (height := math.log10(1 + count) / top) <= 1
        ),
        ticks=TICKS,
        num_bins=LAST - FIRST + 1,
        num_left_out=num_left_out,
    )


def state_rows(sites: Sequence[SiteSeen]) -> tuple[StateRow, ...]:
    """What is in each state that occurs, gravest first."""
    found: dict[State, list[SiteSeen]] = {}
    for site in sites:
        found.setdefault(site.state, []).append(site)
    return tuple(_state_row(state, found[state]) for state in STATES if state in found)


def _state_row(state: State, sites: Sequence[SiteSeen]) -> StateRow:
    recovered = sorted(value for site in sites if (value := finite(site.recovered)) is not None)
    residual = [value for site in sites if (value := finite(site.residual)) is not None]
    ends = list(dict.fromkeys(number(value) for value in (*recovered[:1], *recovered[-1:])))
    return StateRow(
        state=state,
        says=STATES[state],
        num=len(sites),
        recovered=" to ".join(ends),
        residual=number(max(residual)) if residual else "",
        wrong_elements=f"{sum(site.num_wrong for site in sites)} of {sum(site.num_elements for site in sites)}",
    )


def _bin_title(index: int, num_right: int, num_others: int) -> str:
    words = {FIRST: "at most ", LAST: "at least "}.get(index, "")
    counts = [f"{num} {name}" for num, name in ((num_right, "right"), (num_others, "not right")) if num]
    return f"recovered {words}{number(index / PER_ONE)}: {', '.join(counts)}"
