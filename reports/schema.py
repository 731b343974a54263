"""The JSON Schemas of what jobs read, made from the records themselves, so that they cannot drift.

`python -m reports.schema` writes each `schema.json`: beside this file, in `faults/` and in `canaries/`. A test asserts
that all are current.
Follows `harness.codec`: what that writes is valid, and an unknown key is not. Knows nothing of any renderer.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import json
import textwrap
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from harness.records import canaries, faults, results

Schema = dict[str, Any]


class Published(typing.NamedTuple):
    """A record that other people's jobs read as JSON, and where its schema lies."""

    title: str
    record: type
    version: str
    path: Path


REPORT = Published("report", results.Report, results.SCHEMA_VERSION, Path(__file__).with_name("schema.json"))
KILL_MATRIX = Published(
    "kill matrix", faults.KillMatrix, faults.SCHEMA_VERSION, Path(__file__).parent / "faults" / "schema.json"
)
CANARIES = Published(
    "canaries", canaries.CanaryReport, canaries.SCHEMA_VERSION, Path(__file__).parent / "canaries" / "schema.json"
)
PUBLISHED = (REPORT, KILL_MATRIX, CANARIES)

_SCALARS: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(published: Published) -> Schema:
    """The schema of a record as `harness.codec` encodes it: JSON Schema 2020-12, closed, each record under `$defs`."""
    definitions: dict[str, Schema] = {}
    _schema_of(published.record, definitions)
    document = definitions.pop(published.record.__name__)
    document["properties"]["schema_version"] = {"const": published.version}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"deltaproof {published.title}, version {published.version}",
        **document,
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text(published: Published) -> str:
    """The text of its `schema.json`."""
    return json.dumps(schema_of(published), indent=2, ensure_ascii=False) + "\n"


def _schema_of(kind: Any, definitions: dict[str, Schema]) -> Schema:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [member.value for member in kind]}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema_of(argument, definitions) for argument in arguments]}
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind.__name__ not in definitions:
            definitions[kind.__name__] = {}  # Entered first, so that a record may hold records of its own kind.
            definitions[kind.__name__] = _record_schema(kind, definitions)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    raise TypeError(f"{kind} has no JSON Schema here")


def _record_schema(record: type, definitions: dict[str, Schema]) -> Schema:
    hints = typing.get_type_hints(record)
    described = _field_docstrings(record)
    properties: dict[str, Schema] = {}
    required = []
    tag = getattr(record, "kind_tag", None)
    if tag:
        properties["type"] = {"const": tag}
        required.append("type")
    for field in dataclasses.fields(record):
        properties[field.name] = _schema_of(hints[field.name], definitions)
        if field.name in described:
            properties[field.name]["description"] = described[field.name]
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            required.append(field.name)
    return {
        "description": inspect.cleandoc(record.__doc__ or ""),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _field_docstrings(record: type) -> dict[str, str]:
    """Each field's docstring: the string that follows it in the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(record)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for statement, following in itertools.pairwise(body):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            text = following.value if isinstance(following, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[statement.target.id] = inspect.cleandoc(text.value)
    return found


if __name__ == "__main__":
    for each in PUBLISHED:
        each.path.write_text(schema_text(each), encoding="utf-8")
