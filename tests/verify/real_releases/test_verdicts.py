"""Tests of what is said of merges that real releases made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from harness.verify import verify
from harness.verify.report import VerifyReport
from tests.verify.real_releases.conftest import Merges
from tests.verify.real_releases.expected import CASES, LAYOUTS, UNTIL_2026_5_1, Case, kinds_by_name, made
from tests.verify.real_releases.models import MODELS, NUM_EXPERTS, NUM_LAYERS

pytestmark = pytest.mark.registry

WITH_EXPERTS = tuple(case for case in CASES if MODELS[case.model].target_parameters)
NUM_PROJECTIONS = NUM_LAYERS * NUM_EXPERTS * 3


def report_of(case: Case, merges: Merges) -> VerifyReport:
    """What is said of the merge."""
    folder = merges[case.row] / case.model
    return verify(folder / "base", folder / "adapter", folder / case.merger)


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_merge_is_judged_by_what_it_holds(case: Case, merges: Merges) -> None:
    """The verdict, and a finding for each tensor that is wrong and for no other, with what became of it."""
    report = report_of(case, merges)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    of_files = {"generation_config_missing"} if case.merger == UNTIL_2026_5_1 else set()
    assert kinds_by_name(case) == {finding.tensor: finding.kind for finding in errors if finding.layer is not None}
    assert of_files == {finding.kind for finding in errors if finding.layer is None}
    assert made(case).verdict == report.verdict
    assert len(errors) == len(report.findings)  # nothing else is even warned of
    assert report.passthrough.compared == report.passthrough.identical > 0


@pytest.mark.parametrize("case", WITH_EXPERTS, ids="-".join)
def test_experts_are_counted_from_the_files(case: Case, merges: Merges) -> None:
    """Applied are those whose files show it, whatever a release's own counter says: all of them, each time."""
    said = (merges[case.row] / case.model / f"{case.merger}.txt").read_text(encoding="utf-8")
    claims = re.findall(r"applied to (\d+)/(\d+)", said)
    has_counter = case.merger not in ("peft", UNTIL_2026_5_1)
    assert ([(str(NUM_PROJECTIONS),) * 2] if has_counter else []) == claims
    wrong = len(kinds_by_name(case))
    report = report_of(case, merges)
    experts = report.experts
    assert (NUM_PROJECTIONS, NUM_PROJECTIONS - wrong, wrong) == (experts.attempted, experts.applied, experts.fallback)
    assert (LAYOUTS[case.row], False) == (report.layout.fused, report.layout.ambiguous)


@pytest.mark.parametrize("row", LAYOUTS)
def test_a_marker_says_how_an_adapter_was_packed(row: str, merges: Merges, tmp_path: Path) -> None:
    """Had it been trained packed by expert, and marked so, old releases would be right, and new ones and PEFT wrong."""
    folder = merges[row] / "moe"
    adapter = marked(folder / "adapter", tmp_path / "adapter")
    mergers = ("2026.5.2", "2026.9.5", "2026.9.6", "2026.10.9", "peft")
    reports = {merger: verify(folder / "base", adapter, folder / merger) for merger in mergers}
    right, wrong = "CONTAINS", "WRONG_LAYOUT"
    verdicts = {merger: str(report.verdict) for merger, report in reports.items()}
    assert {"2026.5.2": right, "2026.9.5": right, "2026.9.6": wrong, "2026.10.9": wrong, "peft": wrong} == verdicts
    assert {"delta_wrong_packing"} == {finding.kind for finding in reports["peft"].findings}
    assert {"grouped_by_expert"} == {report.layout.packing for report in reports.values()}


def marked(adapter: Path, copy: Path) -> Path:
    """The adapter with the marker that 2026.9.6 and 2026.10.9 write when they are told to pack as older ones did."""
    shutil.copytree(adapter, copy)
    packing = {"lora_B_layout": "grouped_by_expert"}
    parameters = {name: {**packing, "num_experts": NUM_EXPERTS} for name in ("down_proj", "gate_up_proj")}
    details = {**packing, "lora_A_layout": "grouped_by_expert", "parameters": parameters}
    path = copy / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | packing | {"unsloth_fused_expert_lora": details}
    path.write_text(json.dumps(config), encoding="utf-8")
    return copy
