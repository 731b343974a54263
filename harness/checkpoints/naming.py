"""A family's naming rules, applied: every tensor that a checkpoint must hold, and what fused parameters stand for.

Canonical names are those of published checkpoints, per layer and per expert. Whatever a stack holds or stores (a 3D
parameter for all experts of a layer) is translated into them here and nowhere else. Knows nothing of files or LoRA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from harness.checkpoints.shapes import size
from harness.errors import ArtifactError, CaseError
from harness.records.cases import Family, FusedRule, TensorRule

HEAD_ROLE = "head"
"""The tensor that tied embeddings leave out."""


class CanonicalTensor(NamedTuple):
    """One tensor of a family's checkpoint."""

    name: str
    shape: tuple[int, ...]
    role: str
    layer: int | None
    expert: int | None
    init: str
    keep_float32: bool


def tensor_table(family: Family, config: Mapping[str, Any]) -> dict[str, CanonicalTensor]:
    """Canonical name to tensor, for the whole checkpoint: layer by layer within each rule, in the rules' order."""
    table: dict[str, CanonicalTensor] = {}
    for rule in family.tensors:
        if not _exists(rule, config):
            continue
        shape = _shape(family, rule, config)
        for layer in _layers(family, rule, config):
            for expert in _experts(family, rule, config):
                name = _fill(rule.name, layer, expert)
                if name in table:
                    raise CaseError(f"two rules give the tensor {name!r}", where=family.name)
                table[name] = CanonicalTensor(name, shape, rule.role, layer, expert, rule.init, rule.keep_float32)
    return table


def module_table(family: Family, config: Mapping[str, Any]) -> dict[str, CanonicalTensor]:
    """`tensor_table` of what a model holds: a tied head is no tensor of the checkpoint, but a module of its own."""
    return tensor_table(family, {**config, "tie_word_embeddings": False})


def to_canonical(family: Family, config: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`tensors` under canonical names: fused parameters split into views of their parts, everything else as it is.

    Raises ArtifactError if a fused parameter does not have the shape that the configuration gives it.
    """
    canonical: dict[str, np.ndarray] = {}
    for name, array in tensors.items():
        found = _match_fused(family, name)
        if found is None:
            canonical[name] = array
            continue
        rule, layer = found
        num_experts = _num_experts(family, config)
        rows = [_num_rows(family, part, config) for part in rule.parts]
        if array.ndim != 3 or array.shape[:2] != (num_experts, sum(rows)):
            expected = f"({num_experts}, {sum(rows)}, columns)"
            raise ArtifactError(
                "fused parameter has another shape", where=name, expected=expected, got=str(array.shape)
            )
        for part, stop, num_rows in zip(rule.parts, accumulate(rows), rows, strict=True):
            for expert in range(num_experts):
                canonical[_fill(part, layer, expert)] = array[expert, stop - num_rows : stop]
    return canonical


def canonical_names(family: Family, config: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The canonical tensors that a stored or in-memory `name` covers: its parts if it is fused, else itself."""
    found = _match_fused(family, name)
    if found is None:
        return (name,)
    rule, layer = found
    experts = range(_num_experts(family, config))
    return tuple(_fill(part, layer, expert) for part in rule.parts for expert in experts)


def routed_layers(table: Mapping[str, CanonicalTensor]) -> tuple[int, ...]:
    """The layers of a table that have experts, in order."""
    return tuple(sorted({each.layer for each in table.values() if each.expert is not None and each.layer is not None}))


def roles_of(family: Family, words: Iterable[str]) -> frozenset[str]:
    """The roles that `words` of the family's `adaptable` mean. Raises CaseError on a word that it does not have."""
    roles: set[str] = set()
    for word in words:
        if word not in family.adaptable:
            known = ", ".join(sorted(family.adaptable))
            raise CaseError(f"nothing adaptable is called {word!r}", where=family.name, expected=known)
        roles.update(family.adaptable[word])
    return frozenset(roles)


def _exists(rule: TensorRule, config: Mapping[str, Any]) -> bool:
    if rule.role == HEAD_ROLE and config.get("tie_word_embeddings"):
        return False
    return not rule.when or bool(config.get(rule.when))


def _shape(family: Family, rule: TensorRule, config: Mapping[str, Any]) -> tuple[int, ...]:
    where = f"{family.name}: {rule.name}"
    return tuple(size(axis, config, where=where) for axis in rule.shape)


def _layers(family: Family, rule: TensorRule, config: Mapping[str, Any]) -> tuple[int | None, ...]:
    if ("{layer}" in rule.name) != bool(rule.layers):
        raise CaseError("a rule has layers if and only if its name has {layer}", where=f"{family.name}: {rule.name}")
    return layer_set(family, rule.layers, config) if rule.layers else (None,)


def layer_set(family: Family, name: str, config: Mapping[str, Any]) -> tuple[int, ...]:
    """The layers of the family's layer set `name`, for `config`."""
    where = f"{family.name}: layer set {name!r}"
    if name not in family.layer_sets:
        raise CaseError("unknown layer set", where=where, expected=", ".join(sorted(family.layer_sets)))
    spec = family.layer_sets[name]
    layers = range(size("num_hidden_layers", config, where=where))
    if not isinstance(spec, str):
        return tuple(layer for layer in spec if layer in layers)
    kind, _, argument = spec.partition(":")
    if spec == "all":
        return tuple(layers)
    if kind in ("from", "until"):
        bound = size(argument, config, where=where, at_least=0)
        return tuple(layer for layer in layers if (layer >= bound) == (kind == "from"))
    if kind == "where":
        field, _, value = argument.partition("=")
        values = config.get(field)
        if not isinstance(values, list | tuple) or len(values) != len(layers):
            got = f"{len(values)} of them" if isinstance(values, list | tuple) else repr(values)
            raise CaseError(f"{field} does not have a value a layer", where=where, expected=str(len(layers)), got=got)
        return tuple(layer for layer in layers if values[layer] == value)
    raise CaseError(f"cannot read {spec!r}", where=where, expected="all, from:N, until:N or where:FIELD=VALUE")


def _experts(family: Family, rule: TensorRule, config: Mapping[str, Any]) -> tuple[int | None, ...]:
    return tuple(range(_num_experts(family, config))) if "{expert}" in rule.name else (None,)


def _num_experts(family: Family, config: Mapping[str, Any]) -> int:
    return size(family.experts, config, where=f"{family.name}: experts")


def _fill(name: str, layer: int | str | None, expert: int | None) -> str:
    return name.replace("{layer}", str(layer)).replace("{expert}", str(expert))


def _match_fused(family: Family, name: str) -> tuple[FusedRule, str] | None:
    for rule in family.fused:
        if found := _pattern(rule.name).fullmatch(name):
            return rule, found[1]
    return None


@lru_cache(maxsize=256)
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{layer\}", "([0-9]+)"))


def _num_rows(family: Family, part: str, config: Mapping[str, Any]) -> int:
    for rule in family.tensors:
        if rule.name == part:
            return size(rule.shape[0], config, where=f"{family.name}: {part}")
    raise CaseError(f"no tensor rule for the fused part {part!r}", where=family.name)
