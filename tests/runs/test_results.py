"""From artifacts on disk to results: what passed, crashed, was not run, cannot be read, or was changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from harness import artifacts, codec
from harness.metrics.observed import RELOADED, TRAINED, WEIGHTS
from harness.planning.expand import Skip
from harness.records.cases import Family, KnownOutcome
from harness.records.jobs import Crash, PlannedRead, PlannedWrite
from harness.records.results import Result
from harness.runs.results import MAX_CRASH_CHARACTERS, Context, Ended, read_result, skip_result, write_result
from tests.observations import (
    DENSE,
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

CASE = make_case()
WRITE = PlannedWrite(case=CASE, family=MOE, cell="r1")
READ = PlannedRead(case=CASE, family=MOE, writer="r1", reader="r3", form="merged")
TODAY = date(2026, 11, 21)
CRASH = Crash(stage="train", exception="ValueError", message="no 3", traceback="x" * 9000 + "the end")


def missing(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection is base's."""
    got[EXPERT_3] = base[EXPERT_3]


BROKEN = make_read(weights=make_weights(damage=missing))


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Nothing is declared."""
    return Context(out=tmp_path, known={}, today=TODAY)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The artifact of a clean write."""
    return save(make_write(), tmp_path / "writes" / "w")


def ended(directory: Path | None, written: Path | None = None, **changes: object) -> Ended:
    """How a job ended."""
    return replace(Ended(directory=directory, error="", reused=False, written=written), **changes)  # type: ignore[arg-type]


def declared(result: Result, **changes: object) -> KnownOutcome:
    """A declaration of this very result."""
    known = KnownOutcome(
        name="a break",
        reason="upstream",
        link="https://example.org/1",
        expires="2027-01-01",
        verdict="FAIL",
        cause=result.judgement.cause,
        cases=(result.case,),
        writers=(result.writer,),
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_a_clean_write_passes(context: Context, written: Path) -> None:
    """Its result says what it is, what was measured, where it lies, and how to run it again."""
    result = write_result(WRITE, ended(written, reused=True), context)
    assert ("PASS", "none", "", "") == (
        result.judgement.verdict, result.disposition, result.judgement.cause, result.what_to_do,
    )  # fmt: skip
    assert ("write", "qwen3_moe-tiny", "r1", "", "") == (
        result.kind, result.case, result.writer, result.reader, result.form,
    )  # fmt: skip
    assert "writes/w" == result.directory
    assert {"attempted": 48, "applied": 48} == {name: result.experts[name] for name in ("attempted", "applied")}
    assert "deltaproof run --cells r1 -k 'qwen3_moe-tiny@r1'" == result.rerun
    assert result.reused
    assert result.measurements


def test_a_clean_read_passes(context: Context, written: Path, tmp_path: Path) -> None:
    """It is judged with the write's outputs, and needs both cells to be run again."""
    result = read_result(READ, ended(save(make_read(), tmp_path / "r"), written), context)
    assert ("PASS", "read", "r1", "r3", "merged") == (
        result.judgement.verdict, result.kind, result.writer, result.reader, result.form,
    )  # fmt: skip
    assert "deltaproof run --cells r1,r3 -k 'qwen3_moe-tiny@r1>merged>r3'" == result.rerun
    assert ("", "") == (result.first_diverging, result.crash)


def test_a_dialect_is_part_of_a_route(context: Context, tmp_path: Path) -> None:
    """Of its id and rerun command; and files that were changed in another dialect's folder are not its own."""
    planned = replace(READ, writer="jax", form="lora", dialect="swapped")
    written = save(answered(make_write(), stack="jax_stacked"), tmp_path / "w")
    directory = save(make_read(form="lora"), tmp_path / "r")
    others = ("adapter/adapter_model.safetensors", "adapter-standard/adapter_config.json", "merged/config.json")
    result = read_result(planned, ended(directory, written, changed=others), context)
    assert ("PASS", "lora", "swapped") == (result.judgement.verdict, result.form, result.dialect)
    assert "qwen3_moe-tiny@jax>lora-swapped>r3" == result.id
    assert f"deltaproof run --cells jax,r3 -k '{result.id}'" == result.rerun
    own = ("adapter-swapped/adapter_model.safetensors",)
    assert "artifact_changed" == read_result(planned, ended(directory, written, changed=own), context).judgement.cause


def test_a_known_outcome_is_that_of_its_dialect(context: Context) -> None:
    """A break that is declared of one dialect says nothing of another."""
    swapped = replace(READ, form="lora", dialect="swapped")
    known = replace(declared(read_result(swapped, ended(None), context)), verdict="ERROR", dialects=("swapped",))
    told = replace(context, known={swapped.id: known})
    assert "known" == read_result(swapped, ended(None), told).disposition
    assert "new" == read_result(replace(swapped, dialect="standard"), ended(None), told).disposition


def test_answers_that_were_read_already_are_not_read_again(context: Context, written: Path, tmp_path: Path) -> None:
    """What the engine hands over stands, and gives the same result."""
    directory = save(make_read(), tmp_path / "r")
    first = read_result(READ, ended(directory, written), context)
    answer, write_answer = artifacts.read_answer(directory), artifacts.read_answer(written)
    for folder in (directory, written):
        (folder / artifacts.ANSWER).unlink()
    assert first == read_result(READ, ended(directory, written, answer=answer, written_answer=write_answer), context)


@pytest.mark.parametrize("planned", [WRITE, replace(READ, reader="r1")], ids=["write", "read"])
def test_a_single_cell_is_named_once(context: Context, planned: PlannedWrite | PlannedRead) -> None:
    """To run a write, or the diagonal, one row is enough."""
    make = {PlannedWrite: write_result, PlannedRead: read_result}[type(planned)]
    assert f"deltaproof run --cells r1 -k '{planned.id}'" == make(planned, ended(None), context).rerun  # type: ignore[operator]


def test_the_environment_at_hand_is_rerun_as_such(context: Context) -> None:
    """`here` is no row, and cannot be asked for by --cells."""
    assert (
        "deltaproof run --here -k 'qwen3_moe-tiny@here'"
        == write_result(replace(WRITE, cell="here"), ended(None), context).rerun
    )


def test_a_missing_delta_fails_with_its_place_and_what_to_do(context: Context, written: Path, tmp_path: Path) -> None:
    """Verdict, cause, tensor, counts, advice."""
    result = read_result(READ, ended(save(BROKEN, tmp_path / "r"), written), context)
    assert ("FAIL", "new", "delta_missing experts.gate") == (
        result.judgement.verdict, result.disposition, result.judgement.cause,
    )  # fmt: skip
    assert EXPERT_3 == result.judgement.findings[0].where.tensor
    assert (47, 1) == (result.experts["applied"], result.experts["fallback"])
    assert "Do not ship this checkpoint." in result.what_to_do


def test_the_first_diverging_stage_is_told_of_a_failed_read(context: Context, written: Path, tmp_path: Path) -> None:
    """The forward pass says where it left the trained one's path."""
    assert BROKEN.reloaded is not None
    stages = {name: array * (1 + 0.1 * (name != "embed_tokens")) for name, array in BROKEN.reloaded.stages.items()}
    observed = replace(BROKEN, reloaded=replace(BROKEN.reloaded, stages=stages))
    result = read_result(READ, ended(save(observed, tmp_path / "r"), written), context)
    assert result.first_diverging.startswith("layers.0 (relative difference 0.1")


def test_a_declared_break_is_known_with_its_reason(context: Context, written: Path, tmp_path: Path) -> None:
    """As declared it is known, after its date expired, with another cause new; a pass that was declared is fixed."""
    end = ended(save(BROKEN, tmp_path / "r"), written)
    known = declared(read_result(READ, end, context))

    def disposition(outcome: KnownOutcome, end: Ended = end) -> str:
        result = read_result(READ, end, replace(context, known={READ.id: outcome}))
        assert ("a break", "upstream", "https://example.org/1", outcome.expires) == (
            result.known, result.known_reason, result.known_link, result.known_expires,
        )  # fmt: skip
        return result.disposition

    assert "known" == disposition(known)
    assert "expired" == disposition(replace(known, expires="2026-11-20"))
    assert "new" == disposition(replace(known, cause="delta_missing attention"))
    assert "fixed" == disposition(known, ended(save(make_read(), tmp_path / "clean"), written))


def test_a_crash_is_an_error_with_the_end_of_its_traceback(context: Context, tmp_path: Path) -> None:
    """What was there before it is still read, and the text has a bound."""
    observed = answered(make_write(trained=None, weights=None, files=()), crash=CRASH, adapted=())
    result = write_result(WRITE, ended(save(observed, tmp_path / "w")), context)
    assert ("ERROR", "new", "crashed train ValueError no") == (
        result.judgement.verdict, result.disposition, result.judgement.cause,
    )  # fmt: skip
    assert result.crash.endswith("the end")
    assert MAX_CRASH_CHARACTERS == len(result.crash)
    assert {} == result.experts
    assert result.what_to_do


def test_a_route_of_what_was_not_written_says_so(context: Context) -> None:
    """Its cause is the write's, and not taken for a process that died."""
    result = read_result(READ, ended(None, error="not written: train: ValueError: no"), context)
    assert ("ERROR", "not_written") == (result.judgement.verdict, result.judgement.cause)


@pytest.mark.parametrize("error", ["the cell was killed by signal 9\nlog", ""], ids=["with words", "without"])
def test_a_job_that_left_nothing_was_not_run(context: Context, error: str) -> None:
    """The engine's words are the crash and the finding; the cause is the same whatever they are."""
    for result in (
        write_result(WRITE, ended(None, error=error), context),
        read_result(READ, ended(None, error=error), context),
    ):
        assert ("ERROR", "not_run", "new", error) == (
            result.judgement.verdict, result.judgement.cause, result.disposition, result.crash,
        )  # fmt: skip
        (finding,) = result.judgement.findings
        assert (error.splitlines()[0] if error else "no observations") == finding.message
        assert ("", (), {}) == (result.directory, result.measurements, result.experts)


@pytest.mark.parametrize("name", [TRAINED, WEIGHTS, artifacts.ANSWER])
def test_a_write_that_cannot_be_read_is_an_error(context: Context, written: Path, name: str) -> None:
    """A file cut short is ERROR with the file's name, never an exception, and never a PASS."""
    (written / name).write_bytes((written / name).read_bytes()[:100])
    result = write_result(WRITE, ended(written), context)
    assert ("ERROR", "unreadable", "new") == (result.judgement.verdict, result.judgement.cause, result.disposition)
    assert name in result.judgement.findings[0].message
    assert result.what_to_do


@pytest.mark.parametrize("name", [RELOADED, WEIGHTS, artifacts.ANSWER])
def test_a_read_that_cannot_be_read_is_an_error(context: Context, written: Path, tmp_path: Path, name: str) -> None:
    """As for a write."""
    directory = save(make_read(), tmp_path / "r")
    (directory / name).write_bytes((directory / name).read_bytes()[:100])
    result = read_result(READ, ended(directory, written), context)
    assert ("ERROR", "unreadable") == (result.judgement.verdict, result.judgement.cause)


def test_a_read_of_a_write_that_cannot_be_read_is_an_error(context: Context, written: Path, tmp_path: Path) -> None:
    """The other artifact is needed, too."""
    (written / TRAINED).write_bytes(b"")
    result = read_result(READ, ended(save(make_read(), tmp_path / "r"), written), context)
    assert ("ERROR", "unreadable") == (result.judgement.verdict, result.judgement.cause)


@pytest.mark.parametrize("name", [RELOADED, WEIGHTS])
def test_a_file_that_is_not_there_is_inconclusive(context: Context, written: Path, tmp_path: Path, name: str) -> None:
    """What was not observed is not judged."""
    directory = save(make_read(), tmp_path / "r")
    (directory / name).unlink()
    result = read_result(READ, ended(directory, written), context)
    assert ("INCONCLUSIVE", "not_measured") == (result.judgement.verdict, result.judgement.cause)


@pytest.mark.parametrize(
    ("changed", "form", "expected"),
    [
        pytest.param(("merged/model.safetensors",), "merged", ["artifact_changed"], id="its own form"),
        pytest.param(("adapter/adapter_model.safetensors",), "merged", [], id="the other form"),
        pytest.param(("adapter/adapter_model.safetensors",), "lora", ["artifact_changed"], id="the adapter"),
        pytest.param((TRAINED,), "lora", ["artifact_changed"], id="what both are compared with"),
        pytest.param((), "merged", [], id="nothing"),
    ],
)
def test_files_changed_since_are_told_beside_a_failure(
    context: Context, written: Path, tmp_path: Path, changed: tuple[str, ...], form: str, expected: list[str]
) -> None:
    """A word beside the findings, which stand as they are; verdict and cause are not changed by it."""
    planned = replace(READ, form=form)  # type: ignore[arg-type]
    directory = save(replace(BROKEN, form=form), tmp_path / "r")
    result = read_result(planned, ended(directory, written, changed=changed), context)
    assert ("FAIL", "delta_missing experts.gate") == (result.judgement.verdict, result.judgement.cause)
    assert expected == [f.kind for f in result.judgement.findings if f.kind == "artifact_changed"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param(("merged/model.safetensors",), ("FAIL", "artifact_changed", "new"), id="changed"),
        pytest.param((), ("PASS", "", "none"), id="unchanged"),
    ],
)
def test_what_passes_fails_where_files_were_changed_since(
    context: Context, written: Path, tmp_path: Path, changed: tuple[str, ...], expected: tuple[str, str, str]
) -> None:
    """What was observed says nothing of the files that are there now: of a write, as of a route that reads them."""
    directory = save(make_read(), tmp_path / "r")
    for result in (
        write_result(WRITE, ended(written, changed=changed), context),
        read_result(READ, ended(directory, written, changed=changed), context),
    ):
        assert expected == (result.judgement.verdict, result.judgement.cause, result.disposition)
        assert bool(changed) == bool(result.what_to_do)


@pytest.mark.parametrize(("newest", "expected"), [(False, "none"), (True, "new")])
def test_a_skip_counts_on_the_newest_row_alone(context: Context, newest: bool, expected: str) -> None:
    """Elsewhere it is told, and no failure; there it is one."""
    skip = Skip(case=CASE, cell="r3", reason="needs transformers >=5.5", newest=newest)
    result = skip_result(skip, replace(WRITE, cell="r3"), context)
    assert ("SKIPPED", expected, "r3") == (result.judgement.verdict, result.disposition, result.writer)
    assert ["needs transformers >=5.5"] == [finding.message for finding in result.judgement.findings]


def diverged(family: Family, tmp_path: Path, context: Context) -> Result:
    """A route whose reloaded model computes NaN."""
    read = make_read(family, case=make_case(family, dtype="bfloat16"))
    assert read.reloaded is not None
    reloaded = replace(read.reloaded, logits_BTV=np.full_like(read.reloaded.logits_BTV, np.nan))
    written = save(make_write(family, case=read.case), tmp_path / "w")
    directory = save(replace(read, reloaded=reloaded), tmp_path / "r")
    planned = PlannedRead(case=read.case, family=family, writer="r1", reader="r1", form="merged")
    return read_result(planned, ended(directory, written), context)


@pytest.mark.parametrize("family", [MOE, DENSE], ids=lambda family: family.name)
def test_a_model_that_computes_nan_never_passes_and_can_be_recorded(
    family: Family, tmp_path: Path, context: Context
) -> None:
    """Every result has a JSON form, also this one: a NaN would lose the whole run's report."""
    result = diverged(family, tmp_path, context)
    assert "PASS" != result.judgement.verdict
    assert result == codec.decode(Result, codec.encode(result), where="a test")
