"""Is what an adapter says really in a merged checkpoint? Three directories, streamed and compared; no model code.

Knows numpy, and nothing of cells, runs or stacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.verify.records import Finding
from harness.verify.report import Verdict, VerifyReport

if TYPE_CHECKING:
    from harness.verify.crew import Progress
    from harness.verify.verifier import verify

__all__ = ["Finding", "Progress", "Verdict", "VerifyReport", "verify"]


def __getattr__(name: str) -> Any:
    """What computes is imported when it is first asked for: reports need the records alone, and not numba."""
    if name == "Progress":
        from harness.verify.crew import Progress

        return Progress
    if name == "verify":
        from harness.verify.verifier import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
