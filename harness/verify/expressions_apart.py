"""Matching regular expressions against names; also a program that does it in a process of its own, which can be ended.

Standard library alone, and nothing of ours: it is run by path. Reads queries as JSON from its input and writes what it
found as JSON. Knows nothing of adapters.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Query(NamedTuple):
    """Names, and the expressions of which the first that matches counts."""

    expressions: Sequence[str]
    names: Sequence[str]
    whole: bool
    """Whether all of a name must match, or its beginning."""


class Hit(NamedTuple):
    """Which expression matched first."""

    number: int
    layer: str | None
    """What its group `layer` caught, if it has one."""


class BadExpression(Exception):
    """An expression that cannot be compiled."""


class OutOfTime(Exception):
    """The matching took longer than it may."""


def search(query: Query, *, deadline_s: float | None = None) -> list[Hit | None]:
    """The first expression that matches each name. `deadline_s` is a moment of `time.monotonic()`.

    A single match cannot be interrupted: only expressions that cannot run away belong into a process that must live.
    """
    compiled = [_compiled(expression) for expression in query.expressions]
    matchers = [each.fullmatch if query.whole else each.match for each in compiled]
    hits: list[Hit | None] = []
    for name in query.names:
        if deadline_s is not None and time.monotonic() > deadline_s:
            raise OutOfTime
        hits.append(None)
        for number, matcher in enumerate(matchers):
            if match := matcher(name):
                hits[-1] = Hit(number, match.groupdict().get("layer"))
                break
    return hits


def main() -> None:
    """Answer the queries on standard input."""
    try:
        answer = {"hits": [search(Query(*query)) for query in json.load(sys.stdin)]}
    except BadExpression as error:
        answer = {"error": str(error)}  # type: ignore[dict-item]
    json.dump(answer, sys.stdout)


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError, MemoryError) as error:
        raise BadExpression(f"{expression[:80]!r} is no regular expression: {error}") from error


if __name__ == "__main__":
    main()
