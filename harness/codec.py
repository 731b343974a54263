"""Frozen records to JSON-ready values and back, strictly: unknown and missing keys and wrong types are errors.

Standard library only, because records are read and written inside cells too, whose environments hold nothing of ours.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import ArtifactError, DeltaproofError

Record = TypeVar("Record")


def encode(value: Any) -> Any:
    """A record, or a structure of records, as values that `json.dumps(..., allow_nan=False)` accepts.

    Raises ValueError on NaN and infinities: a number that could not be measured is a `Missing`, never a NaN.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be recorded: use Missing with a reason")
        return value
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        encoded = {name: encode(getattr(value, name)) for name in _fields_of(type(value))[0]}
        tag = getattr(type(value), "kind_tag", None)
        return {"type": tag, **encoded} if tag else encoded
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode(
    record_type: type[Record], value: Any, *, where: str, error: type[DeltaproofError] = ArtifactError
) -> Record:
    """`value` (from JSON or TOML) as a `record_type`; `where` names the file in errors, which are of type `error`."""
    return _decode(record_type, value, where, error)  # type: ignore[no-any-return]


def dumps(value: Any) -> str:
    """Canonical JSON text of a record: sorted keys, so that equal records have equal digests."""
    return json.dumps(encode(value), sort_keys=True, allow_nan=False, ensure_ascii=False, indent=1)


def read_json(record_type: type[Record], path: Path) -> Record:
    """The record in the file at `path`. Raises ArtifactError if the file is not there or does not hold one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"cannot be read: {error}", where=str(path)) from error
    return decode(record_type, value, where=str(path))


def _decode(expected: Any, value: Any, where: str, error: type[DeltaproofError]) -> Any:
    if (expected is type(value) and expected is not float) or expected is Any:  # scalars, which most values are
        return value
    origin = typing.get_origin(expected)
    if origin is typing.Literal:
        if value not in typing.get_args(expected):
            raise error("unknown value", where=where, expected=_one_of(typing.get_args(expected)), got=repr(value))
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(expected, value, where, error)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise error("wrong type", where=where, expected="a list", got=type(value).__name__)
        arguments = typing.get_args(expected)
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], item, f"{where}[{i}]", error) for i, item in enumerate(value))
        if len(arguments) != len(value):
            raise error("wrong length", where=where, expected=str(len(arguments)), got=str(len(value)))
        return tuple(
            _decode(kind, item, f"{where}[{i}]", error)
            for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
        )
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise error("wrong type", where=where, expected="a table", got=type(value).__name__)
        key_type, value_type = typing.get_args(expected)
        return {
            _decode(key_type, key, where, error): _decode(value_type, item, f"{where}.{key}", error)
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(expected):
        return _decode_dataclass(expected, value, where, error)
    return _decode_scalar(expected, value, where, error)


def _decode_scalar(expected: Any, value: Any, where: str, error: type[DeltaproofError]) -> Any:
    if expected is type(None) and value is None:
        return None
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        # JSON as Python reads it and TOML have NaN and infinities, and whole numbers that no float can hold.
        if not abs(value) <= sys.float_info.max:
            raise error("not a finite number", where=where, got=repr(value)[:80])
        return float(value)
    # bool is a subclass of int in Python; a flag where a count is expected is a mistake all the same.
    if isinstance(value, bool) and expected is not bool:
        raise error("wrong type", where=where, expected=expected.__name__, got="bool")
    if isinstance(expected, type) and isinstance(value, expected):
        return value
    raise error("wrong type", where=where, expected=getattr(expected, "__name__", str(expected)), got=repr(value)[:80])


def _decode_union(expected: Any, value: Any, where: str, error: type[DeltaproofError]) -> Any:
    arguments = typing.get_args(expected)
    if value is None and type(None) in arguments:
        return None
    choices = [argument for argument in arguments if argument is not type(None)]
    tagged = {choice.kind_tag: choice for choice in choices if getattr(choice, "kind_tag", None)}
    if tagged and isinstance(value, Mapping):
        chosen = tagged.get(str(value.get("type")))
        if chosen is None:
            raise error("unknown type", where=where, expected=_one_of(tagged), got=repr(value.get("type")))
        return _decode(chosen, value, where, error)
    failures = []
    for choice in choices:
        try:
            return _decode(choice, value, where, error)
        except DeltaproofError as failure:
            failures.append(failure)
    raise failures[0]


def _decode_dataclass(expected: Any, value: Any, where: str, error: type[DeltaproofError]) -> Any:
    if not isinstance(value, Mapping):
        raise error("wrong type", where=where, expected="a table", got=type(value).__name__)
    fields, hints = _fields_of(expected)
    items = dict(value)
    if getattr(expected, "kind_tag", None):
        items.pop("type", None)
    for name in items:
        if name not in fields:
            raise error(f"unknown key {name!r}", where=where, expected=_one_of(sorted(fields)))
    arguments = {}
    for name, field in fields.items():
        if name in items:
            arguments[name] = _decode(hints[name], items[name], f"{where}: {name}", error)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise error(f"key {name!r} is missing", where=where)
    return expected(**arguments)


@cache
def _fields_of(record_type: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields and resolved types of a record type: the same for every record, and slow to find out."""
    return {field.name: field for field in dataclasses.fields(record_type)}, typing.get_type_hints(record_type)


def _one_of(names: Any) -> str:
    return "one of " + ", ".join(str(name) for name in names)
