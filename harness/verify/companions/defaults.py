"""The tables of what a configuration means: defaults by model type, fields that no reload feels, equal spellings.

Owns `config_defaults.toml` and `config_fields.toml`. Knows no checkpoint.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from harness.checkpoints.shapes import size
from harness.codec import decode
from harness.errors import CaseError
from harness.verify.companions.values import same

DEFAULTS_PATH = Path(__file__).with_name("config_defaults.toml")
FIELDS_PATH = Path(__file__).with_name("config_fields.toml")


class Default(NamedTuple):
    """What a field is where a configuration does not state it."""

    value: Any
    expression: str = ""
    """Of other fields, if it follows from them; then `value` is None, which means the same where it is stated."""

    def holds(self, value: Any, fields: Mapping[str, Any]) -> bool | None:
        """Whether stating `value`, beside `fields`, says what stating nothing says. None: that cannot be worked out."""
        if not self.expression:
            return same(value, self.value)
        if value is None:
            return True
        try:
            return same(value, size(self.expression, fields, where="config.json"))
        except (CaseError, ValueError):  # the latter: of numbers of thousands of digits, which cannot be shown
            return None

    def __str__(self) -> str:
        return self.expression or repr(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredFields:
    """Fields that no reload feels."""

    why: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spellings:
    """Names of one field."""

    why: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRule:
    """How some model types build `layer_types` where it is not stated."""

    types: tuple[str, ...]
    is_: str
    others: str
    every: int = 0
    """Each layer whose number, from one, is a multiple of it is `is_`; 0: layers from `field` on are `others`."""
    field: str = ""
    """The configuration field that gives `every`, or the first layer with a window."""
    without_window_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTable:
    """`config_fields.toml`."""

    ignored: tuple[IgnoredFields, ...]
    spellings: tuple[Spellings, ...]
    layers: tuple[LayerRule, ...]


def default_of(types: tuple[str, ...], name: str) -> Default | None:
    """The default of a field for the first of these model types that has one; None where none is known."""
    for model_type in types:
        section = _defaults().get(model_type, {})
        if name in section:
            return section[name]
    return None


def is_known(types: tuple[str, ...]) -> bool:
    """Whether the defaults of one of these model types are known."""
    return any(model_type in _defaults() for model_type in types)


@cache
def ignored_fields() -> frozenset[str]:
    """Fields that no reload feels, or that are compared in a place of their own."""
    return frozenset(name for group in field_table().ignored for name in group.fields)


@cache
def field_table() -> FieldTable:
    """Read `config_fields.toml`. Raises CaseError on an unknown key or a wrong value."""
    data = tomllib.loads(FIELDS_PATH.read_text(encoding="utf-8"))
    data["layers"] = [
        {("is_" if key == "is" else key): value for key, value in rule.items()} for rule in data["layers"]
    ]
    return decode(FieldTable, data, where=FIELDS_PATH.name, error=CaseError)


@cache
def _defaults() -> dict[str, dict[str, Default | None]]:
    """By model type; None is a field whose default differs between versions."""
    data = tomllib.loads(DEFAULTS_PATH.read_text(encoding="utf-8"))
    every = _section(data["every"])
    tables = {name: every | _section(section) for name, section in data["text"].items()}
    return tables | {name: _section(section) for name, section in data["part"].items()}


def _section(section: Mapping[str, Any]) -> dict[str, Default | None]:
    found: dict[str, Default | None] = {}
    for name, value in section.items():
        if name == "unset":
            found |= dict.fromkeys(value, Default(None))
        elif name == "versions_differ":
            found |= dict.fromkeys(value)
        else:
            found[name] = Default(None, value["is"]) if isinstance(value, dict) else Default(value)
    return found
