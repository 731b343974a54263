"""Regular expressions that came from a stranger's file, matched without trusting them.

Python's `re` can take longer than the age of the world, and cannot be interrupted. So expressions that repeat nothing
are matched here, and all others by a process of their own (`expressions_apart`) that is ended when its time is up.
Knows nothing of adapters.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.errors import ArtifactError
from harness.verify import expressions_apart
from harness.verify.expressions_apart import BadExpression, Hit, OutOfTime, Query, search

LIMIT_S = 20.0
"""For all expressions of an adapter: matching those of a sane one takes milliseconds."""
_PLAIN = re.compile(r"(\.\*)?([\w.-]|\\\.)*")
"""Texts that repeat nothing but what stands before them: nearly all that adapters hold."""


def is_plain(texts: Iterable[str]) -> bool:
    """Whether these parts of expressions cannot run away."""
    return all(_PLAIN.fullmatch(text) for text in texts)


def first_hits(
    queries: Sequence[Query], *, plain: bool, where: str, limit_s: float = LIMIT_S
) -> list[list[Hit | None]]:
    """For each query, which of its expressions matches each of its names first.

    `plain` says that they cannot run away, so that no process is needed. Raises ArtifactError for what is no
    expression, and when the time is up.
    """
    if not any(query.expressions and query.names for query in queries):
        return [[None] * len(query.names) for query in queries]
    try:
        if plain:
            deadline_s = time.monotonic() + limit_s
            return [search(query, deadline_s=deadline_s) for query in queries]
        return _search_apart(queries, limit_s, where)
    except BadExpression as error:
        raise ArtifactError(str(error), where=where) from error
    except (OutOfTime, subprocess.TimeoutExpired) as error:
        raise ArtifactError(
            "matching its regular expressions takes too long",
            where=where,
            expected=f"less than {limit_s:g} s",
            next_step="Write plain names in place of expressions that repeat within repetitions.",
        ) from error


def _search_apart(queries: Sequence[Query], limit_s: float, where: str) -> list[list[Hit | None]]:
    program = Path(expressions_apart.__file__)
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-W", "ignore", str(program)],
            input=json.dumps(queries),
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except OSError as error:
        raise ArtifactError(f"its regular expressions cannot be matched: {error}", where=where) from error
    if done.returncode != 0:
        raise ArtifactError("matching its regular expressions ended a process", where=where, got=str(done.returncode))
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise BadExpression(answer["error"])
    return [[hit and Hit(*hit) for hit in hits] for hits in answer["hits"]]
