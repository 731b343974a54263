"""Comparing and showing JSON values, and the findings that say that two of them differ. Knows no file's meaning."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from harness.verify.records import Finding, Severity

SHOWN_CHARACTERS = 120
ABSENT = "absent"


def same(first: Any, second: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not, the order of keys does not count."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return first.keys() == second.keys() and all(same(value, second[key]) for key, value in first.items())
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def shown(value: Any) -> str:
    """A value as text of a bounded length in characters that any terminal shows, as strangers wrote it."""
    text = json.dumps(value, sort_keys=True, default=str)  # keeps to ASCII, and escapes control characters
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 4] + " ..."


def named(names: Iterable[str]) -> str:
    """Names of fields or files as a short list, safely."""
    found = sorted(plain(name) for name in names)
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return ", ".join(found[:8]) + more


def plain(name: str) -> str:
    """A name that a stranger chose, without characters that would act on a terminal."""
    text = json.dumps(name)[1:-1]
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 4] + " ..."


def changed(kind: str, place: str, before: str, after: str, *, severity: Severity = "error", why: str = "") -> Finding:
    """The finding that something at `place` is not what it is in base."""
    message = f"{place} is {after}, and {before} in base" + (f": {why}" if why else "")
    return Finding(kind=kind, severity=severity, message=message, expected=before, got=after)
