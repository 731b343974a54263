"""What each check says of a struck job and of a clean one: its verdict, its findings, and of which result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import ArtifactError
from harness.execution.outcome import Execution, Outcome
from harness.faults import checking
from harness.faults.checking import Said, ToCheck, results_of, said_of, to_check
from harness.faults.planning import Planned
from harness.metrics.observed import MERGED, Observed
from harness.records.jobs import Crash, PlannedRead, PlannedWrite, Strike
from harness.records.results import Finding, Location
from harness.runs.results import Context
from harness.verify.records import Finding as Verified
from harness.verify.report import Verdict
from tests.observations import (
    EXPERT_3,
    MOE,
    Weights,
    answered,
    make_case,
    make_read,
    make_weights,
    make_write,
    save,
)

STRIKE = Strike(fault="good", seed=1)
WRITE = PlannedWrite(case=make_case(), family=MOE, cell="r1", strike=STRIKE)
READS = tuple(
    PlannedRead(case=WRITE.case, family=MOE, writer="r1", reader="r1", form=form, written_strike=STRIKE)
    for form in ("lora", "merged")
)
STRUCK_WRITE = Planned(fault="good", write=WRITE, reads=READS)
STRUCK_READ = Planned(
    fault="good",
    write=replace(WRITE, strike=None),
    reads=(replace(READS[1], strike=STRIKE, written_strike=None),),
)
BASE = Path("base")


def missed(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert is base's."""
    got[EXPERT_3] = base[EXPERT_3]


MISSED = make_read(weights=make_weights(damage=missed))


def outcome(made: Observed, job: str, directory: Path) -> Outcome:
    """Of a job that left these observations."""
    return Outcome(id=job, directory=save(made, directory))


def ended(tmp_path: Path, planned: Planned = STRUCK_WRITE, **reads: Observed) -> ToCheck:
    """A write on which all is well, and its reads; so is each of those, if not told otherwise."""
    made = [(read, reads.get(read.form, make_read(form=read.form))) for read in planned.reads]
    return ToCheck(
        planned=planned,
        write=outcome(make_write(), planned.write.id, tmp_path / "write"),
        reads=tuple(outcome(observed, read.id, tmp_path / read.form) for read, observed in made),
        base=BASE,
        context=Context(out=tmp_path, known={}, today=date(2026, 11, 21)),
    )


Asked = list[tuple[Path, Path, Path]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What `verify` was asked: base, adapter, merge. It says that all is well."""
    calls: Asked = []
    answering(monkeypatch, lambda adapter: SimpleNamespace(verdict=Verdict.CONTAINS, findings=()), calls)
    return calls


def answering(monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], object], calls: Asked | None = None) -> None:
    """`verify` says this of the adapter with that name."""

    def verify(base: Path, adapter: Path, merged: Path) -> object:
        if calls is not None:
            calls.append((base, adapter, merged))
        return answer(adapter.name)

    monkeypatch.setattr(checking, "verify", verify)


def test_a_job_takes_its_own_part_of_what_was_run(tmp_path: Path) -> None:
    """Its write, its reads in the order in which they were planned, and the base of its case."""
    whole = ended(tmp_path)
    execution = Execution(
        writes={"another@r1": Outcome(id="another@r1"), WRITE.id: whole.write},
        reads={"another": Outcome(id="another"), **{read.id: read for read in reversed(whole.reads)}},
        processes=(),
        phases_s={},
        bases={"another": Path("other"), WRITE.case.name: BASE},
    )
    assert whole == to_check(whole.planned, execution, whole.context)


def test_each_result_is_judged_under_the_name_of_its_check(tmp_path: Path) -> None:
    """The write, and each form that was read: of the same case, against the same write."""
    results = results_of(ended(tmp_path))
    assert [("write", WRITE.id), ("lora", READS[0].id), ("merged", READS[1].id)] == [
        (check, result.id) for check, result in results
    ]
    assert ["PASS"] * 3 == [result.judgement.verdict for _, result in results]


def test_a_write_without_its_reads_is_no_pass_of_theirs(tmp_path: Path) -> None:
    """What was not run is an error that says why."""
    whole = ended(tmp_path)
    lost = replace(whole, reads=(Outcome(id=READS[0].id, error="the process ended"), whole.reads[1]))
    _, lora, merged = (result for _, result in results_of(lost))
    assert ("ERROR", "not_run", "the process ended") == (lora.judgement.verdict, lora.judgement.cause, lora.crash)
    assert "PASS" == merged.judgement.verdict


def test_reads_without_an_outcome_are_a_mistake_of_ours(tmp_path: Path) -> None:
    """None is left out in silence."""
    whole = ended(tmp_path)
    with pytest.raises(ValueError, match="shorter"):
        results_of(replace(whole, reads=whole.reads[:1]))


def test_what_the_judge_found_is_what_the_check_says(tmp_path: Path, asked: Asked) -> None:
    """Verdict, cause, findings, and the gates that failed: of the check whose result it is."""
    write, lora, merged, verified = said_of(ended(tmp_path, merged=MISSED))
    quiet = {"cause": "", "findings": (), "message": "", "metrics": ()}
    assert Said(check="write", result=WRITE.id, verdict="PASS", **quiet) == write  # type: ignore[arg-type]
    assert Said(check="lora", result=READS[0].id, verdict="PASS", **quiet) == lora  # type: ignore[arg-type]
    assert ("merged", READS[1].id, "FAIL", "delta_missing experts.gate", "") == (
        merged.check, merged.result, merged.verdict, merged.cause, merged.message,
    )  # fmt: skip
    assert [Location(tensor=EXPERT_3, layer=1, expert=3)] == [finding.where for finding in merged.findings]
    assert {"weight_residual_max", "experts_fallback"} == set(merged.metrics)
    assert Said(check="verify", result=f"{WRITE.id} adapter", verdict="CONTAINS", cause="", findings=()) == verified


def test_of_a_struck_read_the_read_alone_is_asked(tmp_path: Path, asked: Asked) -> None:
    """The write is clean, and so is what `verify` would see."""
    (merged,) = said_of(ended(tmp_path, STRUCK_READ, merged=MISSED))
    assert ("merged", "FAIL") == (merged.check, merged.verdict)
    assert [] == asked


def test_of_a_crash_the_last_line_is_told(tmp_path: Path, asked: Asked) -> None:
    """It is where a traceback says what was raised; nothing else counts as a crash."""
    crash = Crash(
        stage="load_adapter", exception="KeyError", message="'q'", traceback="at line 3\nat line 5\nKeyError: 'q'\n"
    )
    write, lora, *_ = said_of(ended(tmp_path, lora=answered(make_read(form="lora"), crash=crash)))
    assert ("ERROR", True, "KeyError: 'q'") == (lora.verdict, lora.is_crash, lora.message)
    assert ("PASS", False, "") == (write.verdict, write.is_crash, write.message)


def test_the_merge_is_verified_against_every_adapter_beside_it(tmp_path: Path, asked: Asked) -> None:
    """In order of their names; what is no adapter is none."""
    whole = ended(tmp_path)
    written = tmp_path / "write"
    for name in ("adapter-swapped", "adapter-per_expert", "log"):
        (written / name).mkdir()
    names = ["adapter", "adapter-per_expert", "adapter-swapped"]
    assert [f"{WRITE.id} {name}" for name in names] == [
        each.result for each in said_of(whole) if each.check == "verify"
    ]
    assert [(BASE, written / name, written / MERGED) for name in names] == asked


def test_without_a_merge_there_is_nothing_to_verify(tmp_path: Path, asked: Asked) -> None:
    """Whether the write left nothing at all, or no merge."""
    whole = ended(tmp_path)
    (tmp_path / "write" / MERGED).rename(tmp_path / "elsewhere")
    nowhere = replace(whole, write=Outcome(id=WRITE.id, error="killed"))
    for each in (whole, nowhere):
        assert {"write", "lora", "merged"} == {said.check for said in said_of(each)}
    assert [] == asked


def test_verify_finds_errors_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its notes and warnings decide no verdict; each error keeps its place and its words."""
    error = Verified(
        kind="WRONG_VALUES", severity="error", message="it is off", tensor=EXPERT_3, layer=1, expert=3,
        expected="base + delta", got="something else",
    )  # fmt: skip
    bare = Verified(kind="BASE_UNCHANGED", severity="error", message="it is base's")
    others = [replace(error, severity=severity, kind="REMARK") for severity in ("warning", "note")]
    findings = (others[0], error, bare, others[1], bare)
    answering(monkeypatch, lambda adapter: SimpleNamespace(verdict=Verdict.WRONG_VALUES, findings=findings))
    place = Location(tensor=EXPERT_3, layer=1, expert=3)
    plain = Finding(kind="BASE_UNCHANGED", message="it is base's")
    assert said_of(ended(tmp_path))[-1] == Said(
        check="verify",
        result=f"{WRITE.id} adapter",
        verdict="WRONG_VALUES",
        cause="BASE_UNCHANGED, WRONG_VALUES",
        findings=(
            Finding(
                kind="WRONG_VALUES", message="it is off", where=place, expected="base + delta", got="something else"
            ),
            plain,
            plain,
        ),
    )


def test_what_verify_refuses_is_told_and_the_next_adapter_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is no pass and no crash: it is a finding, at the place that it names, if it names one."""
    whole = ended(tmp_path)
    for name in ("adapter-per_expert", "adapter-swapped"):
        (tmp_path / "write" / name).mkdir()

    def answer(adapter: str) -> object:
        if adapter == "adapter-swapped":
            return SimpleNamespace(verdict=Verdict.CONTAINS, findings=())
        raise ArtifactError("cut short", where=None if adapter == "adapter" else "model.norm")

    answering(monkeypatch, answer)
    nameless, named, good = said_of(whole)[-3:]
    refused = Finding(kind="refused", message="model.norm: cut short", where=Location(tensor="model.norm"))
    assert named == Said(
        check="verify",
        result=f"{WRITE.id} adapter-per_expert",
        verdict="REFUSED",
        cause="model.norm: cut short",
        findings=(refused,),
    )
    assert (Finding(kind="refused", message="cut short"),) == nameless.findings
    assert ("CONTAINS", False) == (good.verdict, named.is_crash)
