"""Tensors that are alike, and what a group of them has in common: role or pattern, layer, expert. Knows no kinds."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from harness.checkpoints.configs import effective_config
from harness.checkpoints.naming import CanonicalTensor, module_table
from harness.metrics.observed import Observed
from harness.records.results import Finding, Location

Roles = Mapping[str, CanonicalTensor]
"""What is known of each canonical name."""


def roles_of(observed: Observed) -> Roles:
    """Those of the case's model."""
    return module_table(observed.family, effective_config(observed.family, observed.case))


def role_of(name: str, roles: Roles) -> str:
    """The tensor's role, or its pattern where the name is not canonical."""
    return roles[name].role if name in roles else pattern(name)


def pattern(name: str) -> str:
    """The name with a star for every number."""
    return re.sub(r"\b\d+\b", "*", name)


def alike(names: Collection[str], roles: Roles) -> dict[str, list[str]]:
    """Role or pattern to its names; both in order."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        groups[role_of(name, roles)].append(name)
    return dict(sorted(groups.items()))


def place(names: Sequence[str], roles: Roles) -> Location:
    """The first of the tensors; a layer or an expert is named only where all of them have it."""
    places = [roles.get(name) for name in names]
    layers = {each.layer if each is not None else None for each in places}
    experts = {each.expert if each is not None else None for each in places}
    return Location(
        tensor=names[0],
        layer=layers.pop() if len(layers) == 1 else None,
        expert=experts.pop() if len(experts) == 1 else None,
    )


def finding_of(kind: str, names: Sequence[str], what: str, roles: Roles) -> Finding:
    """One finding of tensors that are alike, and are all `what`."""
    subject = f"{names[0]} is" if len(names) == 1 else f"{len(names)} tensors like {names[0]} are"
    return Finding(
        kind=kind,
        message=f"{subject} {what}",
        where=place(names, roles),
        num_alike=len(names),
    )
