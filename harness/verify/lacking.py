"""Weights of base that the adapter's configuration means, and that its file has no factors for.

PEFT starts such a pair with B at zero, so a reader of the adapter leaves these weights as they are in base. Knows no
values of checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from harness.verify.adapter_targets import targeted
from harness.verify.places import WEIGHT, Place
from harness.verify.records import Adapter, Finding, Severity
from harness.verify.sides import HEAD, Side
from harness.verify.targets import Target, is_named

INCOMPLETE = "adapter_incomplete"
_NUMBER = re.compile(r"\.(\d+)(?=\.)")


class Lacking(NamedTuple):
    """What the file should have factors for."""

    sites: frozenset[str]
    """Canonical names of weights for whose like it has factors in other layers: PEFT had a place for them too."""
    findings: tuple[Finding, ...]


def lacking(adapter: Adapter, base: Side, targets: Sequence[Target]) -> Lacking:
    """The weights that are lacking; those whose like has no factors anywhere are a warning."""
    have = {name for target in targets for name in target.sites}
    if not have:
        return Lacking(frozenset(), ())
    kinds = {kind for target in targets for kind in _kinds(target)}
    modules = list(_modules(adapter, base, targets, have))
    sure = [place for place in modules if _kind(place.site.name) in kinds]
    unsure = [place for place in modules if _kind(place.site.name) not in kinds]
    fused = list(_fused(adapter, base, targets, have))
    told = {finding.tensor for finding in adapter.findings if finding.kind == INCOMPLETE}
    untold = [place for parameter, place in fused if parameter.rpartition(".")[0] not in told]
    return Lacking(
        sites=frozenset(place.site.name for place in (*sure, *(place for _, place in fused))),
        findings=(*_findings([*sure, *untold], "error"), *_findings(unsure, "warning")),
    )


def _modules(adapter: Adapter, base: Side, targets: Iterable[Target], have: set[str]) -> Iterator[Place]:
    """Matrices of modules that the configuration means; of experts where some have factors of their own."""
    apart = {kind for target in targets if target.num_experts is None for kind in _kinds(target)}
    places = {
        name.removesuffix(WEIGHT): place
        for name, place in base.layout.places.items()
        if name.endswith(WEIGHT)
        and len(place.shape) == 2
        and name not in have
        and name not in base.unexplained
        and (place.site.expert is None or _kind(name) in apart)
    }
    if places:
        meant = targeted(adapter.config, list(places))
        yield from (place for module, place in places.items() if meant[module])


def _fused(adapter: Adapter, base: Side, targets: Iterable[Target], have: set[str]) -> Iterator[tuple[str, Place]]:
    """Matrices of experts whose parameter target_parameters name, with its path, where another layer's has factors."""
    parameters: Mapping[str, str] = {
        kind: target.parameter for target in targets if target.num_experts is not None for kind in _kinds(target)
    }
    for name, place in base.layout.places.items():
        known = parameters.get(_kind(name)) if place.site.expert is not None and name not in have else None
        if known is not None:
            parameter = _NUMBER.sub(f".{place.site.layer}", known, count=1)
            if is_named(parameter, adapter.config.target_parameters):
                yield parameter, place


def _kinds(target: Target) -> set[str]:
    """Of its weights: those of the first expert are like those of all."""
    return {_kind(name) for name in target.sites[: max(1, len(target.parts))]}


def _kind(name: str) -> str:
    """The same for a weight of all layers, and of all experts."""
    return _NUMBER.sub(".N", name)


def _findings(places: Iterable[Place], severity: Severity) -> Iterator[Finding]:
    """One a stored tensor, which may hold a layer's experts."""
    stored: dict[str, list[Place]] = {}
    for place in places:
        name = HEAD if place.site.name == HEAD else place.entry.name  # a tied one is stored as the embedding
        stored.setdefault(name, []).append(place)
    for name, held in stored.items():
        experts = {place.site.expert for place in held}
        yield Finding(
            kind=INCOMPLETE,
            severity=severity,
            message="the configuration means this weight, and the file has no factors for it",
            tensor=name,
            layer=held[0].site.layer,
            expert=experts.pop() if len(experts) == 1 else None,
        )
