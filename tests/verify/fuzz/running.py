"""One case given to a verifier, and what is wrong with its answer. Knows what it costs, where the system tells it."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import ArtifactError
from harness.verify.report import VerifyReport
from tests.verify.fuzz.cases import Case
from tests.verify.fuzz.damage import CONTAINS, REFUSED
from tests.verify.fuzz.directories import SIDES, put_down
from tests.verify.fuzz.oracle import Truth
from tests.verify.fuzz.showing import QUICK, VIEWS, unshowable
from tests.verify.fuzz.triples import pristine

CRASHED = "CRASHED"
FITS = "FITS"
ROUNDING = "merge_rounding"
"""The kind of finding that says that a product had fewer bits than float32."""
MAX_LINE = 1000
"""Characters of an error: one line that a person reads, with a path in it."""
MAX_PROCESSOR_S = 5.0
"""Of the processor's time, for directories of kilobytes: on a busy machine everything waits. What hangs is seen by the
one that watches."""
MAX_GROWTH_BYTES = 192 * 2**20
"""Of the process while it verifies, above what it had before."""

PAGE_EVERY = 8
"""Of so many cases one is also shown as a page, which takes longer than all the rest."""

Verifier = Callable[[Path, Path, Path | None], VerifyReport]


class Answer(NamedTuple):
    """What a verifier said."""

    verdict: str
    """One of the report's, REFUSED or CRASHED."""
    text: str
    """The error's line, the findings' kinds, or the traceback."""
    report: VerifyReport | None = None


class Cost(NamedTuple):
    """What it took."""

    processor_s: float
    """Of all threads."""
    growth_bytes: int
    """0 where the system does not tell."""
    num_left_open: int
    """Files and threads that are there after it, and were not before."""
    warnings: tuple[str, ...]
    """What Python printed beside the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A case that was run."""

    seed: int
    variant: str
    damages: tuple[str, ...]
    truth: str
    allowed: tuple[str, ...]
    verdict: str
    text: str
    alone: str
    """The verdict on the adapter alone, without merged."""
    complaints: tuple[str, ...]
    """What is wrong with the answers; empty if nothing is."""
    processor_s: float
    growth_bytes: int


def run(case: Case, verifier: Verifier, place: Path) -> Result:
    """Lay the case down in `place`, and have it verified with merged and without."""
    paths = put_down(case.triple, place)
    answer, cost = _measured(lambda: verifier(paths["base"], paths["adapter"], paths["merged"]))
    alone, cost_alone = _measured(lambda: verifier(paths["base"], paths["adapter"], None))
    views = tuple(VIEWS) if case.seed % PAGE_EVERY == 0 else QUICK
    complaints = [*_wrong(case, answer), *_unclear(answer, place, views), *_dear(cost)]
    complaints += [
        f"alone: {each}" for each in (*_wrong_alone(case, alone), *_unclear(alone, place, QUICK), *_dear(cost_alone))
    ]
    return Result(
        seed=case.seed,
        variant=case.variant,
        damages=case.damages,
        truth=case.truth.name,
        allowed=tuple(sorted(case.allowed)),
        verdict=answer.verdict,
        text=answer.text,
        alone=alone.verdict,
        complaints=tuple(complaints),
        processor_s=cost.processor_s + cost_alone.processor_s,
        growth_bytes=max(cost.growth_bytes, cost_alone.growth_bytes),
    )


def _measured(verify: Callable[[], VerifyReport]) -> tuple[Answer, Cost]:
    before_bytes, open_before = _settled_bytes(), _num_open()
    started = time.process_time()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer = _answer(verify)
    processor_s = time.process_time() - started
    growth_bytes = max(0, _status_bytes("VmHWM") - before_bytes) if before_bytes else 0
    said = {f"{Path(each.filename).name}:{each.lineno}: {each.message}" for each in warned}
    return answer, Cost(processor_s, growth_bytes, max(0, _num_open() - open_before), tuple(sorted(said)))


def _answer(verify: Callable[[], VerifyReport]) -> Answer:
    try:
        report = verify()
    except ArtifactError as error:
        return Answer(REFUSED, str(error))
    except (Exception, RecursionError, MemoryError):  # noqa: BLE001 - whatever else it raises is what is looked for
        return Answer(CRASHED, traceback.format_exc(limit=-4))
    kinds = {finding.kind: finding for finding in report.findings if finding.severity == "error"}
    return Answer(str(report.verdict), ", ".join(sorted(kinds)), report)


def _wrong(case: Case, answer: Answer) -> Iterator[str]:
    yield from _crashed(answer)
    if answer.verdict not in {CRASHED, *case.allowed}:
        yield f"said {answer.verdict}, which is none of {', '.join(sorted(case.allowed))} ({answer.text})"
    if case.truth is Truth.ROUGH and answer.verdict == CONTAINS and not _has(answer, ROUNDING):
        yield f"said {CONTAINS} without {ROUNDING}"


def _has(answer: Answer, kind: str) -> bool:
    return answer.report is not None and any(finding.kind == kind for finding in answer.report.findings)


def _wrong_alone(case: Case, answer: Answer) -> Iterator[str]:
    """Of the adapter without merged: it fits if nothing was done to it or base, and is refused if it is malformed."""
    yield from _crashed(answer)
    undamaged = pristine(case.variant)
    damaged = {side for side in SIDES if case.triple[side] != undamaged[side]}
    if not damaged & {"base", "adapter"} and answer.verdict not in (CRASHED, FITS):
        yield f"said {answer.verdict}, and nothing was done to it ({answer.text})"
    if damaged == {"adapter"} and case.allowed == {REFUSED} and answer.verdict not in (CRASHED, REFUSED):
        yield f"said {answer.verdict} of what is malformed"


def _crashed(answer: Answer) -> Iterator[str]:
    if answer.verdict == CRASHED:
        yield f"crashed: {answer.text}"


def _unclear(answer: Answer, place: Path, views: Collection[str]) -> Iterator[str]:
    """What a person or a program could not read."""
    if answer.verdict == REFUSED:
        if not answer.text.isprintable() or len(answer.text) > MAX_LINE:
            yield f"is no clear line: {ascii(answer.text)[:300]} ({len(answer.text)} characters)"
        if str(place) not in answer.text:
            yield f"names no file: {answer.text}"
    if answer.report is None:
        return
    if answer.report.exit_code != answer.report.verdict.exit_code:
        yield f"exits with {answer.report.exit_code}"
    yield from unshowable(answer.report, views)


def _dear(cost: Cost) -> Iterator[str]:
    if cost.processor_s > MAX_PROCESSOR_S:
        yield f"took {cost.processor_s:.1f} s"
    if cost.growth_bytes > MAX_GROWTH_BYTES:
        yield f"took {cost.growth_bytes / 2**20:.0f} MiB"
    if cost.warnings:
        yield f"warned: {'; '.join(cost.warnings)}"
    if cost.num_left_open:
        yield f"left {cost.num_left_open} files or threads open"


def _settled_bytes() -> int:
    """What the process holds, with the memory of its peak wiped; 0 where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return 0
    return _status_bytes("VmRSS")


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return 0


def _num_open() -> int:
    descriptors = Path("/proc/self/fd")
    num_files = len(os.listdir(descriptors)) if descriptors.is_dir() else 0
    return num_files + threading.active_count()


def as_json(result: Result) -> str:
    """A result as one line."""
    return json.dumps(asdict(result))


def from_json(line: str) -> Result:
    """A result from its line."""
    fields: dict[str, Any] = json.loads(line)
    lists = ("damages", "allowed", "complaints")
    return Result(**{name: tuple(value) if name in lists else value for name, value in fields.items()})
