"""What is run apart: the source of a job, with `given` to work on and `answer` to leave."""

from __future__ import annotations

from typing import Any


def do(request: dict[str, Any]) -> Any:
    """Execute `source`; what it calls `answer` is the answer."""
    names = {"given": request.get("given")}
    exec(request["source"], names)
    return names.get("answer")
