"""Every merge that a run of the matrix wrote, verified: `python -m tests.end_to_end.merges [OUT]`, `nox -s merges`.

What a verification must say of each is declared here: CONTAINS, but where a version is known to break something.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from harness.cli.console import DEFAULT_OUT
from harness.verify import Verdict, VerifyReport, verify


class Merge(NamedTuple):
    """One merged checkpoint of a write, with each adapter that was saved beside it."""

    write: str
    """The write's id, `case@row`, and the adapter's dialect."""
    base: Path
    adapter: Path
    merged: Path


class Broken(NamedTuple):
    """Merges that are not what they should be, and why."""

    case: str
    rows: tuple[str, ...]
    verdict: Verdict
    kinds: frozenset[str]
    why: str


BROKEN = (
    Broken(
        "qwen3-float32-loop-tied_head_lora",
        ("r1", "r2", "r3", "r4", "newest"),
        Verdict.WRONG_VALUES,
        frozenset({"passthrough_changed"}),
        "a delta on a tied head is merged into the one tensor that is the embedding too",
    ),
    Broken(
        "deepseek_v3-bfloat16-loop",
        ("r3",),
        Verdict.INCOMPLETE,
        frozenset({"dtype_changed"}),
        "transformers 4.57 loads the float32 e_score_correction_bias as bfloat16, and saves it so",
    ),
)
"""Each is a row of cases/known.toml too."""


def written(out: Path) -> Iterator[Merge]:
    """All merges of the runs in `out`, as the runs asked for them, each once."""
    seen: set[str] = set()
    for paper in sorted((out / "runs").glob("*/batches/write-*.json")):
        batch = json.loads(paper.read_text(encoding="utf-8"))
        for job in batch["writes"]:
            directory = Path(job["directory"])
            if job["directory"] in seen or not (directory / "merged").is_dir():
                continue
            seen.add(job["directory"])
            for adapter in sorted(directory.glob("adapter*")):
                name = f"{job['case']['name']}@{batch['cell']}"
                yield Merge(name, Path(job["base"]), adapter, directory / "merged")


def problem(merge: Merge, report: VerifyReport) -> str:
    """How a verification is not what is declared; empty if it is."""
    case, _, row = merge.write.partition("@")
    kinds = {finding.kind for finding in report.findings if finding.severity == "error"}
    expected = next((each for each in BROKEN if case == each.case and row in each.rows), None)
    wanted = (Verdict.CONTAINS, set[str]()) if expected is None else (expected.verdict, set(expected.kinds))
    return "" if wanted == (report.verdict, kinds) else f"expected {wanted}, got {(report.verdict, kinds)}"


def main(out: Path) -> int:
    """Verify all, and tell those that are not as declared."""
    started = time.perf_counter()
    counts: Counter[str] = Counter()
    problems = []
    for merge in written(out):
        report = verify(merge.base, merge.adapter, merge.merged)
        counts[report.verdict] += 1
        if found := problem(merge, report):
            problems.append(f"{merge.write} {merge.adapter.name}: {found}")
    print(f"{sum(counts.values())} merges in {time.perf_counter() - started:.0f} s: {dict(counts)}", file=sys.stderr)
    print("\n".join(problems) or "all as declared", file=sys.stderr)
    return 1 if problems or not counts else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_OUT))
