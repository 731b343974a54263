"""The measured numbers, and the table that shows them beside what was promised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from rich.table import Table


class Part(StrEnum):
    """What can be measured, in this order: each of the first four finds what those before it have left."""

    BUILD = "build"
    WARM = "warm"
    FULL = "full"
    RERUN = "rerun"
    JAX = "jax"
    VERIFY = "verify"
    CANARIES = "canaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number; of several rounds, the median."""

    part: Part
    what: str
    value: float
    unit: str
    at_most: float | None = None
    """What the project promises it not to be above; None where it promises nothing."""
    at_least: float | None = None
    """Or not to be below."""
    best: float | None = None
    """Of all rounds."""
    spread: tuple[float, float] | None = None
    """The lowest and the highest of one round."""

    @property
    def promise(self) -> str:
        """In words, and whether it was missed; empty where nothing was promised."""
        if self.at_most is not None:
            return f"at most {self.at_most:g} {self.unit}" + (" (over)" if self.missed else "")
        if self.at_least is not None:
            return f"at least {self.at_least:g} {self.unit}" + (" (below)" if self.missed else "")
        return ""

    @property
    def missed(self) -> bool:
        """True if a promise was not kept."""
        over = self.at_most is not None and self.value > self.at_most
        return over or (self.at_least is not None and self.value < self.at_least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """A number that could not be had, and why."""

    part: Part
    what: str
    reason: str


def table_of(figures: Iterable[Figure | Unmeasured]) -> Table:
    """The figures for people."""
    table = Table("part", "what", "measured", "rounds", "promise", title="bench")
    for figure in figures:
        if isinstance(figure, Unmeasured):
            table.add_row(figure.part, figure.what, "not measured", "", "", style="red")
            continue
        style = "red" if figure.missed else None
        measured = f"{_short(figure.value)} {figure.unit}"
        table.add_row(figure.part, figure.what, measured, _rounds(figure), figure.promise, style=style)
    return table


def _rounds(figure: Figure) -> str:
    if figure.spread is not None:
        return f"{_short(figure.spread[0])} to {_short(figure.spread[1])}"
    return "" if figure.best is None else f"best {_short(figure.best)}"


def _short(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"
