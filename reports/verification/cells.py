"""Which adapted weight is in which cell of which map: experts by layer and expert, other modules by module and layer.

Knows names, and not how a map is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, get_args

from harness.verify.families import Part
from harness.verify.report import SiteSeen

Place = tuple[int, int]
"""Row and column."""


class Cells(NamedTuple):
    """A map before it is drawn."""

    title: str
    row_name: Callable[[str], str]
    """A row in words, by its label."""
    row_labels: tuple[str, ...]
    column_labels: tuple[str, ...]
    sites: Mapping[Place, SiteSeen]


def expert_cells(sites: Iterable[SiteSeen]) -> list[Cells]:
    """Layers × experts, for each of an expert's matrices."""
    panels: dict[tuple[str, str], list[SiteSeen]] = {}
    for site in sites:
        if site.expert is not None and site.layer is not None:
            panels.setdefault(around_layer(site), []).append(site)
    parts = Counter(found[0].part for found in panels.values())
    order = {part: index for index, part in enumerate(get_args(Part))}
    made = []
    for (before, behind), found in sorted(
        panels.items(), key=lambda item: (item[0][0], order.get(item[1][0].part, -1))
    ):
        layers, experts = _ranked(site.layer for site in found), _ranked(site.expert for site in found)
        part = found[0].part
        made.append(
            Cells(
                title=part if part and parts[part] == 1 else f"{before}.*.{behind}",
                row_name="layer {}".format,
                row_labels=tuple(map(str, layers)),
                column_labels=tuple(map(str, experts)),
                sites={(layers[site.layer], experts[site.expert]): site for site in found},
            )
        )
    return made


def module_cells(sites: Iterable[SiteSeen]) -> list[Cells]:
    """Modules × layers of what is no expert's, for each place that layers stand in."""
    stacks: dict[str, list[tuple[str, SiteSeen]]] = {}
    for site in sites:
        if site.expert is None and site.layer is not None:
            before, behind = around_layer(site)
            stacks.setdefault(before, []).append((behind, site))
    made = []
    for before, found in stacks.items():
        layers = _ranked(site.layer for _, site in found)
        modules = {name: index for index, name in enumerate(dict.fromkeys(name for name, _ in found))}
        made.append(
            Cells(
                title=before if len(stacks) > 1 else "",
                row_name=str,
                row_labels=tuple(modules),
                column_labels=tuple(map(str, layers)),
                sites={(modules[name], layers[site.layer]): site for name, site in found},
            )
        )
    return made


def outside(sites: Iterable[SiteSeen]) -> tuple[SiteSeen, ...]:
    """What is in no layer, and so on no map."""
    return tuple(site for site in sites if site.layer is None)


def around_layer(site: SiteSeen) -> tuple[str, str]:
    """What stands before and behind the layer's number in a name, with `*` for the expert's."""
    segments = site.name.split(".")
    at = segments.index(str(site.layer)) if str(site.layer) in segments else len(segments)
    behind = segments[at + 1 :]
    if site.expert is not None and str(site.expert) in behind:
        behind[behind.index(str(site.expert))] = "*"
    if behind[-1:] == ["weight"]:
        del behind[-1]
    return ".".join(segments[:at]), ".".join(behind)


def _ranked(numbers: Iterable[int | None]) -> dict[int | None, int]:
    """Each number to its place among them: a stranger may call his only expert 999999999."""
    distinct = sorted({value for value in numbers if value is not None})
    return {value: rank for rank, value in enumerate(distinct)}
