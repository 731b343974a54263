"""What each check says of a struck job or a clean one: judged as every result of a run is, and verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import DeltaproofError
from harness.execution.outcome import Execution, Outcome
from harness.faults.planning import Planned
from harness.metrics.observed import MERGED
from harness.records.faults import Check
from harness.records.results import Finding, Location, Result
from harness.runs.results import Context, ended_of, read_result, write_result
from harness.verify import verify

ADAPTERS = "adapter*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one check said of one result."""

    check: Check
    result: str
    verdict: str
    cause: str
    findings: tuple[Finding, ...]
    message: str = ""
    """The end of a crash."""
    metrics: tuple[str, ...] = ()
    """Of the gates that failed."""

    @property
    def is_crash(self) -> bool:
        """Whether nothing was judged, because something raised."""
        return self.verdict == "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCheck:
    """One write and its reads, as they ended."""

    planned: Planned
    write: Outcome
    reads: tuple[Outcome, ...]
    base: Path
    context: Context


def to_check(planned: Planned, execution: Execution, context: Context) -> ToCheck:
    """Its part of what the engine did."""
    return ToCheck(
        planned=planned,
        write=execution.writes[planned.write.id],
        reads=tuple(execution.reads[read.id] for read in planned.reads),
        base=execution.bases[planned.write.case.name],
        context=context,
    )


def results_of(ended: ToCheck) -> list[tuple[Check, Result]]:
    """The judged results of one write and its reads, each with the check that it is."""
    planned, write = ended.planned, ended.write
    return [
        ("write", write_result(planned.write, ended_of(write), ended.context)),
        *(
            (read.form, read_result(read, ended_of(outcome, write), ended.context))
            for read, outcome in zip(planned.reads, ended.reads, strict=True)
        ),
    ]


def said_of(ended: ToCheck) -> list[Said]:
    """Every check of one write and its reads; the write that a struck read is of is clean, and another's business."""
    said = [_judged(check, result) for check, result in results_of(ended)]
    if any(read.strike for read in ended.planned.reads):
        return said[1:]
    return [*said, *_verified(ended.planned.write.id, ended.write, ended.base)]


def _judged(check: Check, result: Result) -> Said:
    judgement = result.judgement
    last = result.crash.strip().splitlines()[-1:] or [""]
    return Said(
        check=check,
        result=result.id,
        verdict=judgement.verdict,
        cause=judgement.cause,
        findings=judgement.findings,
        message=last[0],
        metrics=tuple(each.metric for each in judgement.checks if each.verdict == "FAIL"),
    )


def _verified(write_id: str, write: Outcome, base: Path) -> list[Said]:
    """`verify` of the merge against each adapter that was saved beside it."""
    if write.directory is None or not (write.directory / MERGED).is_dir():
        return []
    said = []
    for adapter in sorted(write.directory.glob(ADAPTERS)):
        name = f"{write_id} {adapter.name}"
        try:
            report = verify(base, adapter, write.directory / MERGED)
        except DeltaproofError as error:
            # It refuses what it cannot read, exit 2: no pass, and no finding either.
            refused = Finding(kind="refused", message=str(error), where=Location(tensor=str(error.where or "")))
            said.append(Said(check="verify", result=name, verdict="REFUSED", cause=str(error), findings=(refused,)))
            continue
        findings = tuple(
            Finding(
                kind=each.kind,
                message=each.message,
                where=Location(tensor=each.tensor or "", layer=each.layer, expert=each.expert),
                expected=each.expected or "",
                got=each.got or "",
            )
            for each in report.findings
            if each.severity == "error"
        )
        kinds = ", ".join(sorted({each.kind for each in findings}))
        said.append(Said(check="verify", result=name, verdict=report.verdict, cause=kinds, findings=findings))
    return said
