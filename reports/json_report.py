"""The report as JSON: the record itself, written whole and read back strictly. All other views are made from this."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from harness.codec import decode, dumps
from harness.errors import ArtifactError
from harness.records.results import SCHEMA_VERSION, Report
from reports.files import write_text


def render(report: Report) -> str:
    """The canonical JSON text of `report`."""
    return dumps(report) + "\n"


def write_report(report: Report, path: Path) -> Path:
    """Write `report` to `path` as JSON, whole or not at all. Raises StorageError."""
    return write_text(path, render(report))


def read_report(path: Path) -> Report:
    """The report in the file at `path`. Raises ArtifactError, which names what is wrong with it and where."""
    where = str(path)
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"), **_STRICT)
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error.strerror or error}", where=where) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"is not JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise ArtifactError("is not a report", where=where, expected="an object", got=type(value).__name__)
    version = value.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ArtifactError(
            "was written with another schema",
            where=where,
            expected=f"schema_version {SCHEMA_VERSION!r}",
            got=repr(version)[:80],
            next_step="Read it with the deltaproof that wrote it, or run again.",
        )
    return decode(Report, value, where=where)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _moderate(text: str) -> int:
    value = int(text)
    if abs(value) >= 2**63:
        raise ValueError(f"{text[:40]}… is too large for a count")
    return value


_STRICT: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite, "parse_int": _moderate}
