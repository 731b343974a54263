"""Reads one TOML file into a record, with errors that name the file and the key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from harness.codec import decode
from harness.errors import CaseError

Record = TypeVar("Record")


def read_toml(record_type: type[Record], path: Path) -> Record:
    """The record in `path`. Raises CaseError: unreadable, not TOML, unknown or missing key, wrong type."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CaseError(f"cannot be read: {error}", where=str(path)) from error
    return decode(record_type, data, where=path.name, error=CaseError)
