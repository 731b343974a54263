"""An artifact that is damaged between write and read fails the run, and the report says where the damage is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random, SystemRandom
from typing import NamedTuple

import pytest

from harness.execution.outcome import Outcome
from harness.judging.findings import SYMPTOMS
from harness.records.results import Finding, Report, Result
from harness.runs.request import Catalogue, RunRequest
from harness.runs.workflow import run
from tests.end_to_end.conftest import ROW, TODAY, NewOut, report_of, routes, run_command, start, verdicts
from tests.end_to_end.damage import Damage, Target, drop_expert, repack_adapter, restored, scale_tensor

pytestmark = pytest.mark.registry

CASES = ("qwen3_moe-float32-loop", "qwen3_moe-bfloat16-loop")
WRITES = tuple(f"{case}@{ROW}" for case in CASES)
RESULTS = (*WRITES, *routes(CASES[0]), *routes(CASES[1]))
CHANGED = "artifact_changed"


class Trained(NamedTuple):
    """Both cases, written and read once: what the tests damage and put back."""

    out: Path
    report: Report
    targets: Mapping[str, Target]
    """By the write's id."""


@pytest.fixture(scope="module")
def trained(new_out: NewOut, catalogue: Catalogue) -> Trained:
    """One training of each case."""
    out = new_out()
    report = run(request(out), catalogue)
    cases = {case.name: case for case in catalogue.cases}
    targets = {
        result.id: Target(out / result.directory, cases[result.case], catalogue.families[result.family])
        for result in report.results
        if result.kind == "write"
    }
    return Trained(out, report, targets)


def test_what_nobody_damaged_passes(trained: Trained) -> None:
    """The control: every result passes, and the run exits 0."""
    assert ("PASS", 0) == (trained.report.verdict, trained.report.exit_code)
    assert dict.fromkeys(RESULTS, "PASS") == verdicts(trained.report)


@pytest.mark.parametrize("do_damage", [drop_expert, scale_tensor, repack_adapter], ids=lambda each: each.__name__)
def test_damage_between_write_and_read_is_located(
    trained: Trained, catalogue: Catalogue, do_damage: Callable[[Target, Random, Path], Damage], tmp_path: Path
) -> None:
    """The damaged form fails with the damage's kind, layer, expert and tensors, in both dtypes; all the rest passes.

    But for the writes: they are no proof of files that somebody changed since, and say so.
    """
    seed = SystemRandom().randrange(2**32)
    print(f"the places are drawn with seed {seed}")
    damages: dict[str, Damage] = {}

    def damage_all(outcomes: Mapping[str, Outcome]) -> None:
        for number, name in enumerate(WRITES):
            assert outcomes[name].reused
            assert outcomes[name].directory == trained.targets[name].directory
            damages[name] = do_damage(trained.targets[name], Random(f"{seed} {name}"), tmp_path / f"base-{number}")

    with restored([target.directory for target in trained.targets.values()]):
        report = run(request(trained.out), catalogue, after_writes=damage_all)

    assert ("FAIL", 1) == (report.verdict, report.exit_code)
    damaged = {f"{name}>{damage.form}>{ROW}": damage for name, damage in damages.items()}
    assert {name: "FAIL" if name in {*damaged, *WRITES} else "PASS" for name in RESULTS} == verdicts(report)
    assert {CHANGED} == {result.judgement.cause for result in report.results if result.id in WRITES}
    for result in report.results:
        if result.id in damaged:
            located = causes(result)
            faults = damaged[result.id].faults
            assert len(located) == len(faults), told(result)
            for fault in faults:
                assert any(fault.is_told_by(finding) for finding in located), f"{fault}\n{told(result)}"
            assert damages[result.id.split(">")[0]].num_fallback == result.experts["fallback"]
            assert CHANGED in {finding.kind for finding in result.judgement.findings}


def test_what_is_edited_between_two_runs_is_caught_by_the_second(trained: Trained, tmp_path: Path) -> None:
    """The write is reused, its damaged form is read again and fails, and a finding names the file that was changed."""
    case = CASES[0]
    write, (lora, merged) = WRITES[0], routes(case)
    target = trained.targets[write]

    with restored([target.directory]):
        damage = drop_expert(target, Random(1), tmp_path / "base")
        process = start(run_command(trained.out, write, lora, merged))
        output, complaint = process.communicate()

    assert 1 == process.returncode, complaint
    report = report_of(output)
    results = {result.id: result for result in report.results}
    assert {write: "FAIL", lora: "PASS", merged: "FAIL"} == verdicts(report)
    assert CHANGED == results[write].judgement.cause
    assert {write: True, merged: False} == {name: results[name].reused for name in (write, merged)}
    [changed] = [finding for finding in results[merged].judgement.findings if finding.kind == CHANGED]
    assert "merged/model.safetensors" in changed.message
    assert all(any(fault.is_told_by(finding) for finding in causes(results[merged])) for fault in damage.faults)


def test_a_file_beside_the_weights_cannot_go_missing_unseen(trained: Trained, catalogue: Catalogue) -> None:
    """The generation config deleted after the write fails the merged route, although all it computes is right."""
    write, (lora, merged) = WRITES[0], routes(CASES[0])
    target = trained.targets[write]

    with restored([target.directory]):
        (target.directory / "merged" / "generation_config.json").unlink()
        report = run(request(trained.out), catalogue)

    assert {write: "FAIL", lora: "PASS", merged: "FAIL"} == {
        name: verdict for name, verdict in verdicts(report).items() if name in (write, lora, merged)
    }
    findings = next(result.judgement.findings for result in report.results if result.id == merged)
    assert ["changed on disk after it was written: merged/generation_config.json"] == [
        finding.message for finding in findings if finding.kind == CHANGED
    ]


def test_a_file_that_no_reload_looks_at_cannot_go_missing_unseen(trained: Trained, catalogue: Catalogue) -> None:
    """PEFT's model card deleted after the write fails the route of the adapter, which computes as it did."""
    write, (lora, merged) = WRITES[0], routes(CASES[0])
    target = trained.targets[write]

    with restored([target.directory]):
        (target.directory / "adapter" / "README.md").unlink()
        report = run(request(trained.out), catalogue)

    assert {write: "FAIL", lora: "FAIL", merged: "PASS"} == {
        name: verdict for name, verdict in verdicts(report).items() if name in (write, lora, merged)
    }
    assert CHANGED == next(result.judgement.cause for result in report.results if result.id == lora)


def request(out: Path) -> RunRequest:
    """Both cases, written and read by the row: what is written already is read again as it is."""
    return RunRequest(out=out, cells=(ROW,), expression=" or ".join(RESULTS), today=TODAY, command="a test")


def causes(result: Result) -> list[Finding]:
    """The findings that say what is wrong, and not only that something is."""
    return [finding for finding in result.judgement.findings if finding.kind not in SYMPTOMS | {CHANGED}]


def told(result: Result) -> str:
    """The findings as text."""
    lines = [f"  {finding.kind} x{finding.num_alike} {finding.where}" for finding in result.judgement.findings]
    return "\n".join([f"{result.id} says:", *lines])
