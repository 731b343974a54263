"""The run's verdict, exit code and headline, from how its results count. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.errors import ExitCode
from harness.history.standing import Standing, standing
from harness.records.results import CellReport, Result, VerdictName


def run_verdict(results: Sequence[Result], cells: Sequence[CellReport]) -> tuple[VerdictName, ExitCode]:
    """A failure first, then a cell that was not built, then what could not be told (no results, above all)."""
    found = {standing(result) for result in results}
    if Standing.FAILED in found:
        return "FAIL", ExitCode.FAILED
    if any(cell.error for cell in cells):
        return "ERROR", ExitCode.ENVIRONMENT
    if Standing.INCONCLUSIVE in found or not found & {Standing.PASSED, Standing.KNOWN}:
        return "INCONCLUSIVE", ExitCode.INCONCLUSIVE
    return "PASS", ExitCode.OK


def count(results: Sequence[Result]) -> dict[str, int]:
    """Verdicts (`PASS`, …) and dispositions (`new`, …) to how many results have them, and the total."""
    names: list[str] = [result.judgement.verdict for result in results]
    names += [result.disposition for result in results if result.disposition != "none"]
    return {"total": len(results), **Counter(names)}


def headline(results: Sequence[Result], cells: Sequence[CellReport], counts: Mapping[str, int]) -> str:
    """One sentence: what was proved, what failed, what is known."""
    standings = Counter(standing(result) for result in results)
    built = sum(1 for cell in cells if not cell.error)
    parts = [f"{standings[Standing.PASSED]} of {counts['total']} results pass in {built} of {len(cells)} cells"]
    for kind, words in (
        (Standing.FAILED, "fail"),
        (Standing.INCONCLUSIVE, "cannot be told"),
        (Standing.KNOWN, "break as declared"),
        (Standing.SKIPPED, "do not apply"),
    ):
        if standings[kind]:
            parts.append(f"{standings[kind]} {words}")
    return ", ".join(parts)
