"""What is made of a verdict: new, known, fixed or expired. Pure; how one counts is `harness.history.standing`."""

from __future__ import annotations

from datetime import date

from harness.records.cases import KnownOutcome
from harness.records.results import Disposition, Judgement


def dispose(judgement: Judgement, known: KnownOutcome | None, today: date) -> Disposition:
    """A declared break counts as known only with the declared verdict and the very cause, before its expiry.

    A declared result that passes is `fixed`, and one past its date is `expired`: both count as failures until the
    declaration is mended. A declared result that breaks in another way is `new`.
    """
    if known is None:
        return "none" if judgement.verdict in ("PASS", "SKIPPED") else "new"
    if judgement.verdict == "PASS":
        return "fixed"
    if (judgement.verdict, judgement.cause) != (known.verdict, known.cause):
        return "new"
    return "expired" if today > date.fromisoformat(known.expires) else "known"
