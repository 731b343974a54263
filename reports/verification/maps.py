"""Where the delta is: maps of layers and experts, and of layers and modules, as rows of strokes. Knows no markup.

A cell is one wide and one high. Neighbours of one colour are one stroke, and a row's strokes of one colour one path, so
that 36,000 weights are some thousand elements. What a cell says when pointed at is the costly part: each has its own as
long as there are few, then only those that are not right, then rows alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from harness.verify.report import SiteSeen, State
from reports.text import counted, number, one_line
from reports.verification.cells import Cells, expert_cells, module_cells
from reports.verification.tones import NAMES, RIGHT, STATES, finite, tone

MAX_TIPS = 8000
"""Of all maps together: some 250 bytes each."""
MAX_PANELS = 24
MAX_CELLS = 150_000
"""Of all maps together; no model has so many."""
MAX_NAME = 160

Names = Mapping[State, str]


class Stroke(NamedTuple):
    """All cells of a row that have one colour, or one mark."""

    name: str
    path: str
    """SVG path data."""


class Tip(NamedTuple):
    """What a cell says when pointed at."""

    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of cells."""

    title: str
    """What is in it, in words."""
    colours: tuple[Stroke, ...]
    marks: tuple[Stroke, ...]
    """By state: what is not right."""
    tips: tuple[Tip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """A picture of rows and columns."""

    title: str
    summary: str
    """All that it shows, in words."""
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    rows: tuple[Row, ...]


class Maps(NamedTuple):
    """What is drawn, and what would have been too much."""

    drawn: tuple[Map, ...]
    num_left_out: int


def expert_maps(sites: Iterable[SiteSeen], names: Names = NAMES) -> Maps:
    """Layers × experts, a map for each of an expert's matrices. `names` are what states are called."""
    return _drawn(expert_cells(sites), names)


def module_maps(sites: Iterable[SiteSeen], names: Names = NAMES) -> Maps:
    """Modules × layers of what is no expert's, a map for each place that layers stand in."""
    return _drawn(module_cells(sites), names)


def counted_states(sites: Iterable[SiteSeen], names: Names) -> str:
    """How many are in which state: "127 applied, 1 missing"."""
    found = Counter(site.state for site in sites)
    return ", ".join(f"{found[state]} {names[state]}" for state in reversed(tuple(STATES)) if found[state])


def told(site: SiteSeen, names: Names) -> str:
    """All that is known of one weight."""
    return f"{one_line(site.name, MAX_NAME)}: {names[site.state]}, {measured(site)}"


def measured(site: SiteSeen) -> str:
    """Its numbers in words."""
    if site.recovered is None and not site.num_wrong:
        return counted(site.num_elements, "element")
    parts = []
    for name, value in (("recovered", finite(site.recovered)), ("residual", finite(site.residual))):
        parts += [f"{name} {number(value)}"] if value is not None else []
    return ", ".join([*parts, f"{site.num_wrong} of {site.num_elements} elements wrong"])


def _drawn(panels: Sequence[Cells], names: Names) -> Maps:
    shown: list[Cells] = []
    for cells in panels[:MAX_PANELS]:
        if sum(len(each.sites) for each in (*shown, cells)) <= MAX_CELLS:
            shown.append(cells)
    has_tip = _tipped([site for cells in shown for site in cells.sites.values()])
    return Maps(tuple(_map(cells, has_tip, names) for cells in shown), len(panels) - len(shown))


def _tipped(sites: Sequence[SiteSeen]) -> Callable[[SiteSeen], bool]:
    """Which cells speak for themselves."""
    if len(sites) <= MAX_TIPS:
        return lambda _site: True
    if sum(site.state != "applied" for site in sites) <= MAX_TIPS:
        return lambda site: site.state != "applied"
    return lambda _site: False


def _map(cells: Cells, has_tip: Callable[[SiteSeen], bool], names: Names) -> Map:
    rows: dict[int, list[tuple[int, SiteSeen]]] = {}
    for (row, column), site in sorted(cells.sites.items(), key=lambda item: item[0]):
        rows.setdefault(row, []).append((column, site))
    drawn = []
    for y, found in rows.items():
        sites = [site for _, site in found]
        title = f"{cells.title} {cells.row_name(cells.row_labels[y])}".strip()
        drawn.append(
            Row(
                title=f"{title}: {counted_states(sites, names)}{_spread(sites)}",
                colours=_strokes(y, [(column, tone(site).name) for column, site in found]),
                marks=_strokes(y, [(column, site.state) for column, site in found if site.state not in RIGHT]),
                tips=tuple(Tip(column, y, told(site, names)) for column, site in found if has_tip(site)),
            )
        )
    return Map(
        title=cells.title,
        summary=counted_states(cells.sites.values(), names),
        row_labels=cells.row_labels,
        column_labels=cells.column_labels,
        rows=tuple(drawn),
    )


def _spread(sites: Iterable[SiteSeen]) -> str:
    values = sorted(value for site in sites if (value := finite(site.recovered)) is not None)
    return f"; recovered {number(values[0])} to {number(values[-1])}" if values else ""


def _strokes(y: int, cells: Iterable[tuple[int, str]]) -> tuple[Stroke, ...]:
    """Cells of one row, in the order of their columns, as one path a name."""
    paths: dict[str, list[str]] = {}
    # Of neighbours with one name column less rank stays the same.
    runs = groupby(enumerate(cells), key=lambda item: (item[1][1], item[1][0] - item[0]))
    for (name, _), run in runs:
        columns = [column for _, (column, _) in run]
        paths.setdefault(name, []).append(f"M{columns[0]} {y}.5h{len(columns)}")
    return tuple(Stroke(name, "".join(path)) for name, path in paths.items())
