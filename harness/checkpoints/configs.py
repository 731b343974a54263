"""The configuration of a case's base checkpoint: the family's, with the case's overrides, alike in every spelling.

A family writes some fields twice (`num_experts` and `num_local_experts`, `rope_theta` alone and in `rope_parameters`),
because transformers 4 and 5 read different ones. Its `aliases` say which places mean the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from harness.errors import CaseError
from harness.records.cases import Case, Family


def effective_config(family: Family, case: Case) -> dict[str, Any]:
    """config.json of the case's base checkpoint.

    An override names a field by any of its spellings (dotted where it is nested), and changes all of them. Raises
    CaseError for a field that the family does not have.
    """
    config: dict[str, Any] = copy.deepcopy(dict(family.config))
    for place, value in case.config.items():
        if not has(config, place):
            known = ", ".join(sorted(config))
            raise CaseError(f"{family.name} has no configuration field {place!r}", where=case.name, expected=known)
        for spelling in spellings(family, place):
            if has(config, spelling):
                _set(config, spelling, copy.deepcopy(value))
    config["architectures"] = [family.architecture]
    config["dtype"] = case.dtype  # not torch_dtype as well: every row reads this one, and some warn of the other
    for name in family.aliases:
        values = {place: get(config, place) for place in spellings(family, name) if has(config, place)}
        if not values:
            raise CaseError(
                f"aliases name the field {name!r}, which the configuration does not have", where=family.name
            )
        if len({repr(value) for value in values.values()}) > 1:
            got = ", ".join(f"{place} = {value!r}" for place, value in values.items())
            raise CaseError("spellings of one field disagree", where=f"{family.name}, {case.name}", got=got)
    return config


def spellings(family: Family, place: str) -> tuple[str, ...]:
    """Every place that means the same as `place`, itself first."""
    for name, others in family.aliases.items():
        if place in (name, *others):
            return (place, *(spelling for spelling in (name, *others) if spelling != place))
    return (place,)


def has(config: Mapping[str, Any], place: str) -> bool:
    """Whether the (dotted) `place` is there, even with the value None."""
    *parents, last = place.split(".")
    inner = get(config, ".".join(parents)) if parents else config
    return isinstance(inner, Mapping) and last in inner


def get(config: Mapping[str, Any], place: str) -> Any:
    """The value at a (dotted) `place`; None if it is not there."""
    value: Any = config
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _set(config: dict[str, Any], place: str, value: Any) -> None:
    *parents, last = place.split(".")
    inner = get(config, ".".join(parents)) if parents else config
    inner[last] = value
