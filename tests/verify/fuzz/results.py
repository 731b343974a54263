"""Results for people: what was wrong with one, how to see it again, and what came of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.verify.fuzz.damage import CONTAINS, REFUSED
from tests.verify.fuzz.running import Result

MIN_READ = 1 / 3
"""Of the damages: so many must be readable, or the reader alone was tried."""
ENOUGH = 1000
"""Results of which that can be said."""
MAX_SHOWN = 40


def is_good(results: Sequence[Result]) -> bool:
    """Whether all were answered rightly, and enough of them could be read."""
    return not any(result.complaints for result in results) and (
        len(results) < ENOUGH or _num_read(results) >= MIN_READ * len(results)
    )


def complaint(result: Result, only: str = "") -> str:
    """What was wrong with an answer, and how to see it again."""
    named = f" --only {only}" if only else ""
    lines = [f"{' then '.join(result.damages)} ({result.variant}, {result.truth}): {result.verdict}"]
    lines += [f"  {each}" for each in result.complaints]
    return "\n".join([*lines, f"  python -m tests.verify.fuzz --seed {result.seed} --count 1{named}"])


def summary(results: Sequence[Result]) -> str:
    """What came of all."""
    verdicts = Counter(result.verdict for result in results)
    num_wrong = sum(bool(result.complaints) for result in results)
    slowest = max(results, key=lambda result: result.processor_s)
    largest = max(results, key=lambda result: result.growth_bytes)
    num_read, num_good = _num_read(results), verdicts[CONTAINS]
    lines = [
        f"{len(results)} damages: {num_wrong} answered wrongly; {num_read} could be read, {num_good} held the adapter",
        ", ".join(f"{verdict} {number}" for verdict, number in verdicts.most_common()),
        f"slowest: {slowest.processor_s:.1f} s ({slowest.damages[-1]}, seed {slowest.seed})",
        f"largest: {largest.growth_bytes / 2**20:.0f} MiB ({largest.damages[-1]}, seed {largest.seed})",
    ]
    by_damage = Counter(result.damages[-1] for result in results if result.complaints)
    return "\n".join([*lines, *(f"  {number} of {name}" for name, number in by_damage.most_common(MAX_SHOWN))])


def _num_read(results: Sequence[Result]) -> int:
    return sum(result.verdict != REFUSED for result in results)
