"""The naming rules of model families (`families.toml`), and how they split a name.

Owns what names mean: prefixes that loaders add or drop, where the layer's number stands, how experts are spelt. Knows
no shapes, no files and no adapters.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness.codec import decode
from harness.errors import UsageError

RULES_PATH = Path(__file__).with_name("families.toml")

Part = Literal["gate", "up", "down"]
Orientation = Literal["out_in", "in_out"]
Rewrites = tuple[tuple[str, str], ...]
"""Beginnings of names, each with what stands there instead: the longest that fits counts."""

# Numbers as transformers writes them: a file's `007` is no expert 7, and a number of 5,000 digits none at all.
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(0|[1-9][0-9]{0,8})\.")
_EXPERT = re.compile(r"(?<=\.)(0|[1-9][0-9]{0,8})(?=\.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartRule:
    """The matrix that every expert has for itself, (out, in)."""

    part: Part
    names: tuple[str, ...]
    """Modules below the layer, with `{expert}`; the first makes the canonical name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedRule:
    """A parameter that holds something of all experts of a layer."""

    names: tuple[str, ...]
    """Parameters below the layer: on disk and in memory, of all versions."""
    parts: tuple[Part, ...] = ()
    """Whose rows it joins. None: it is no expert's matrix (a bias), and an ordinary tensor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # the same one or another: hashed for each of 20,000 names
class ExpertRules:
    """How the experts of one layer are written."""

    apart: tuple[ApartRule, ...]
    stored_apart: bool = True
    """False: no version holds experts one by one, and `apart` only gives them names here."""
    fused: tuple[FusedRule, ...]
    """In the order of the module's parameters."""
    orientation: Orientation
    """Of a fused parameter: (E, out, in) or (E, in, out)."""
    gate_and_up: Literal["halves", "interleaved"]
    """How they stand on the output axis: one after the other, or taking turns."""
    is_transposed: bool = False
    """The module of transformers 5 says so of itself: then PEFT 0.19 and later does not swap A's and B's axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """One row as it is written in the file: it names its prefixes and experts."""

    model_types: tuple[str, ...]
    prefix: str = "text"
    experts: str = ""
    renames: Rewrites = ()
    num_experts: tuple[str, ...] = ()
    not_loaded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """`families.toml` as a whole."""

    prefixes: Mapping[str, Rewrites]
    experts: Mapping[str, ExpertRules]
    families: Mapping[str, FamilyRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRules:
    """What is known of one family's names."""

    name: str
    prefixes: Rewrites = ()
    renames: Rewrites = ()
    """Below the layer: how what is no expert's is called in memory, and how on disk."""
    experts: ExpertRules | None = None
    num_experts: tuple[str, ...] = ()
    """The configuration's fields that count experts; any of them may be there."""
    not_loaded: tuple[str, ...] = ()
    """Beginnings of canonical names that published checkpoints have and transformers leaves out: losing them is no loss
    to a reload."""


NO_RULES = FamilyRules(name="")
"""Of a family without a row: every name stands for itself, and experts cannot be explained."""


class Spelling(NamedTuple):
    """A name taken apart; joined again, its parts are the name with the canonical prefix."""

    head: str
    """`model.layers.3.`, with its dot; empty outside of layers."""
    layer: int | None
    rest: str
    """`mlp.experts.17.gate_proj.weight`, or all of the name outside of layers."""


@cache
def load_rules(path: Path = RULES_PATH) -> Mapping[str, FamilyRules]:
    """Rules by model_type. Raises UsageError: unknown key, wrong type, a reference to nothing, a model_type twice."""
    rules: dict[str, FamilyRules] = {}
    file = decode(RuleFile, tomllib.loads(path.read_text(encoding="utf-8")), where=path.name, error=UsageError)
    for name, row in file.families.items():
        where = f"{path.name}: families.{name}"
        family = FamilyRules(
            name=name,
            prefixes=_named(file.prefixes, row.prefix, where),
            renames=row.renames,
            experts=_named(file.experts, row.experts, where) if row.experts else None,
            num_experts=row.num_experts,
            not_loaded=row.not_loaded,
        )
        for model_type in row.model_types:
            if model_type in rules:
                raise UsageError(f"model_type {model_type!r} is in two rows", where=where, got=rules[model_type].name)
            rules[model_type] = family
    return rules


def rules_for(rules: Mapping[str, FamilyRules], config: Mapping[str, Any]) -> FamilyRules:
    """The row of a model by its config.json, or by its text model's part of that; NO_RULES if there is neither."""
    text = config.get("text_config")
    for described in (config, text if isinstance(text, Mapping) else {}):
        model_type = described.get("model_type")
        if isinstance(model_type, str) and model_type in rules:
            return rules[model_type]
    return NO_RULES


def spell(rules: FamilyRules, name: str) -> Spelling:
    """`name` with the canonical prefix, split behind its layer's number (the first, where there are several)."""
    name = rewrite(rules.prefixes, name)
    found = _LAYER.search(name)
    if found is None:
        return Spelling("", None, name)
    return Spelling(name[: found.end()], int(found[1]), name[found.end() :])


def split_expert(rest: str) -> tuple[str, int] | None:
    """What a rule writes for `rest`, with `{expert}`, and the number that stands there; None if there is no number."""
    found = _EXPERT.search(rest)
    if found is None:
        return None
    return f"{rest[: found.start()]}{{expert}}{rest[found.end() :]}", int(found[1])


def rewrite(rewrites: Rewrites, name: str) -> str:
    """`name` with the longest beginning that fits replaced."""
    if not rewrites:
        return name
    pattern, replacements = _compiled(rewrites)
    found = pattern.match(name)
    return name if found is None else replacements[found[0]] + name[found.end() :]


@cache
def _compiled(rewrites: Rewrites) -> tuple[re.Pattern[str], dict[str, str]]:
    longest_first = sorted((beginning for beginning, _ in rewrites), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))), dict(rewrites)


def _named(table: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in table:
        raise UsageError(f"there is no {name!r}", where=where, expected=f"one of {', '.join(sorted(table))}")
    return table[name]
