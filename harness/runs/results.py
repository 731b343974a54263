"""From observations on disk to judged results. Reads artifacts, asks metrics and judge; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from harness import artifacts
from harness.errors import DeltaproofError
from harness.execution.outcome import Outcome
from harness.judging.advice import what_to_do
from harness.judging.dispositions import dispose
from harness.judging.gates import load_gates
from harness.judging.judge import judge
from harness.metrics import experts, layers, measure_all
from harness.metrics.observed import MERGED, Observed, adapter_folder, observed_read, observed_write
from harness.planning.expand import Skip
from harness.records.cases import KnownOutcome
from harness.records.jobs import Answer, PlannedRead, PlannedWrite
from harness.records.results import Finding, Judgement, Measurement, Result
from harness.runs.request import HERE

MAX_CRASH_CHARACTERS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one job ended: with observations in `directory`, or with an `error` and none."""

    directory: Path | None
    error: str
    """What the engine says of a job without observations: the end of the log, the reason it was not run."""
    reused: bool
    answer: Answer | None = None
    """The artifact's answer where it was read already."""
    written: Path | None = None
    """The directory of the write that a read belongs to, and its answer."""
    written_answer: Answer | None = None
    changed: tuple[str, ...] = ()
    """Files of the write that are no longer as they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What every result of a run shares."""

    out: Path
    known: Mapping[str, KnownOutcome]
    today: date


def ended_of(outcome: Outcome, source: Outcome | None = None) -> Ended:
    """How the engine says that a job ended; `source` is the outcome of the write that a read is of."""
    return Ended(
        directory=outcome.directory,
        error=outcome.error,
        reused=outcome.reused,
        answer=outcome.answer,
        written_answer=source.answer if source is not None else None,
        written=source.directory if source is not None else None,
        changed=(source or outcome).changed,
    )


def write_result(planned: PlannedWrite, ended: Ended, context: Context) -> Result:
    """One write, judged."""
    observed: Observed | None = None
    judgement: Judgement | None = None
    measurements: tuple[Measurement, ...] = ()
    if ended.directory is not None:
        try:
            answer = ended.answer or artifacts.read_answer(ended.directory)
            observed = observed_write(planned.case, planned.family, answer, ended.directory)
            measurements = measure_all(observed)
            judgement = _with_changes(judge(observed, measurements, load_gates()), ended.changed)
        except DeltaproofError as error:
            judgement = _unreadable(str(error))
    return _result(planned, ended, context, observed, judgement, measurements, cells=planned.cell)


def read_result(planned: PlannedRead, ended: Ended, context: Context) -> Result:
    """One route, judged."""
    observed: Observed | None = None
    judgement: Judgement | None = None
    measurements: tuple[Measurement, ...] = ()
    if ended.directory is not None and ended.written is not None:
        try:
            written = ended.written_answer or artifacts.read_answer(ended.written)
            answer = ended.answer or artifacts.read_answer(ended.directory)
            observed = observed_read(
                planned.case,
                planned.family,
                planned.form,
                answer,
                ended.directory,
                written,
                ended.written,
                is_own_row=planned.reader == planned.writer,
            )
            measurements = measure_all(observed)
            judgement = judge(observed, measurements, load_gates())
            judgement = _with_changes(judgement, _read_by(planned, ended.changed))
        except DeltaproofError as error:
            judgement = _unreadable(str(error))
    cells = ",".join(dict.fromkeys((planned.writer, planned.reader)))
    return _result(planned, ended, context, observed, judgement, measurements, cells=cells)


def skip_result(skip: Skip, planned: PlannedWrite, context: Context) -> Result:
    """A case that a cell cannot run. On the newest cell it counts as a failure: its disposition is `new`."""
    judgement = Judgement(
        verdict="SKIPPED",
        cause="skipped",
        checks=(),
        findings=(Finding(kind="skipped", message=skip.reason),),
    )
    ended = Ended(directory=None, error="", reused=False)
    result = _result(planned, ended, context, None, judgement, (), cells=skip.cell)
    return result if not skip.newest else replace(result, disposition="new")


def _result(
    planned: PlannedWrite | PlannedRead,
    ended: Ended,
    context: Context,
    observed: Observed | None,
    judgement: Judgement | None,
    measurements: tuple[Measurement, ...],
    *,
    cells: str,
) -> Result:
    judgement = judgement or _not_run(ended.error)
    case = planned.case
    is_read = isinstance(planned, PlannedRead)
    known = context.known.get(planned.id)
    answer = observed.answer if observed is not None else None
    failed = judgement.verdict not in ("PASS", "SKIPPED")
    return Result(
        id=planned.id,
        kind="read" if is_read else "write",
        case=case.name,
        family=case.family,
        dtype=case.dtype,
        trainer=case.trainer,
        writer=planned.writer if isinstance(planned, PlannedRead) else planned.cell,
        reader=planned.reader if isinstance(planned, PlannedRead) else "",
        form=planned.form if isinstance(planned, PlannedRead) else "",
        dialect=planned.dialect if isinstance(planned, PlannedRead) else "",
        judgement=judgement,
        disposition=dispose(judgement, known, context.today),
        known=known.name if known else "",
        known_reason=known.reason if known else "",
        known_link=known.link if known else "",
        known_expires=known.expires if known else "",
        measurements=measurements,
        first_diverging=_first_diverging(observed, judgement) if observed is not None and failed and is_read else "",
        experts=experts.count(observed.weights) if observed is not None and observed.weights is not None else {},
        warnings=answer.warnings if answer is not None else (),
        crash=_crash_text(answer, ended.error),
        what_to_do=what_to_do(judgement.cause) if failed else "",
        rerun=f"deltaproof run {'--here' if cells == HERE else f'--cells {cells}'} -k '{planned.id}'",
        reused=ended.reused,
        timings_s=answer.timings_s if answer is not None else {},
        seed=case.seed,
        directory=_relative(ended.directory, context.out),
    )


def _first_diverging(observed: Observed, judgement: Judgement) -> str:
    bound = next((check.tolerance for check in judgement.checks if check.metric == layers.NAME), None)
    first = None if bound is None else layers.first_beyond(observed, bound)
    return "" if first is None else str(first)


def _with_changes(judgement: Judgement, changed: tuple[str, ...]) -> Judgement:
    """The judgement, which cannot be a pass where somebody changed files after they were written.

    What was observed while writing says nothing of other files, and a reload does not look at all of them.
    """
    if not changed:
        return judgement
    listed = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
    finding = Finding(kind="artifact_changed", message=f"changed on disk after it was written: {listed}")
    findings = (*judgement.findings, finding)
    if judgement.verdict != "PASS":
        return replace(judgement, findings=findings)
    return replace(judgement, verdict="FAIL", cause="artifact_changed", findings=findings)


def _read_by(planned: PlannedRead, changed: tuple[str, ...]) -> tuple[str, ...]:
    folder = MERGED if planned.form == "merged" else adapter_folder(planned.dialect)
    return tuple(path for path in changed if path.startswith(f"{folder}/") or "/" not in path)


def _not_run(error: str) -> Judgement:
    first = error.strip().splitlines()[0] if error.strip() else "no observations"
    kind = "not_written" if error.startswith("not written:") else "not_run"
    finding = Finding(kind=kind, message=first[:300], got=first[:120])
    return Judgement(verdict="ERROR", cause=kind, checks=(), findings=(finding,))


def _unreadable(error: str) -> Judgement:
    finding = Finding(kind="unreadable", message=error)
    return Judgement(verdict="ERROR", cause="unreadable", checks=(), findings=(finding,))


def _crash_text(answer: Answer | None, error: str) -> str:
    if answer is not None and answer.crash is not None:
        return answer.crash.traceback[-MAX_CRASH_CHARACTERS:]
    return error[-MAX_CRASH_CHARACTERS:]


def _relative(directory: Path | None, out: Path) -> str:
    if directory is None:
        return ""
    return str(directory.relative_to(out)) if directory.is_relative_to(out) else str(directory)
