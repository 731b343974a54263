"""How a result counts: its verdict and its disposition made one word. Every view and comparison asks here.

Must not know how a verdict was reached, or how it is shown.
"""

from __future__ import annotations

from enum import StrEnum

from harness.records.results import Result


class Standing(StrEnum):
    """Gravest first. Only `PASSED` is green; `FAILED` and `INCONCLUSIVE` count against the run."""

    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    KNOWN = "known"
    SKIPPED = "skipped"
    PASSED = "passed"

    @property
    def counts(self) -> bool:
        """True if a result that stands so keeps the run from being green."""
        return self in (Standing.FAILED, Standing.INCONCLUSIVE)

    @property
    def gravity(self) -> int:
        """Position in the order above: 0 is the gravest."""
        return list(Standing).index(self)


def standing(result: Result) -> Standing:
    """How `result` counts.

    A declared break that passes now ("fixed") and one past its date ("expired") fail until the declaration is mended.
    A skip fails only where its disposition says so ("new"): on the newest versions a skip is not an excuse.
    """
    if result.disposition in ("fixed", "expired"):
        return Standing.FAILED
    if result.disposition == "known":
        return Standing.KNOWN
    match result.judgement.verdict:
        case "PASS":
            return Standing.PASSED
        case "INCONCLUSIVE":
            return Standing.INCONCLUSIVE
        case "SKIPPED" if result.disposition != "new":
            return Standing.SKIPPED
        case _:
            return Standing.FAILED


def label(result: Result) -> str:
    """The word that people see for `result`: its verdict, unless its disposition says more."""
    if result.disposition in ("known", "fixed", "expired"):
        return result.disposition.upper()
    return result.judgement.verdict
