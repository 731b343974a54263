"""A few real faults, put into real jobs, as `deltaproof faults` does: caught, named, and nothing cried in between.

All of them are `nox -s faults`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import cases.variations
from cases.injecting import modules
from harness import codec
from harness.metrics.observed import RELOADED
from harness.records.faults import CHECKS, KillMatrix
from harness.records.jobs import PlannedRead, PlannedWrite, Strike
from harness.runs.newest_faults import newest_faults
from harness.runs.prepared import execute_in, prepare
from harness.runs.request import Catalogue
from harness.runs.results import Context, ended_of, read_result
from reports import schema
from tests.end_to_end.conftest import ROOT, ROW, TODAY, NewOut, start

pytestmark = pytest.mark.registry

SOME = ("one_expert_missed", "scale_found_as_5_percent_more", "rope_theta_ignored")
"""One that is put into what was saved, one into the stack, one into a reload."""


def command(out: Path, *options: str) -> list[str]:
    """The command line of `deltaproof faults` in `out`."""
    return [sys.executable, "-m", "harness.cli.main", "faults", "--out", str(out), "--json", *options]


def test_faults_are_caught_and_named_and_clean_runs_are_not(new_out: NewOut) -> None:
    """In every case, by every check that must; another seed hits another place."""
    out = new_out()
    hits = []
    for seed in ("1", "2"):
        process = start(command(out, "-k", f"({' or '.join(SOME)}) and not after_little_training", "--seed", seed))
        said, told = process.communicate(timeout=600)
        assert process.returncode == 0, told
        matrix = codec.decode(KillMatrix, json.loads(said), where="stdout")
        jsonschema.Draft202012Validator(schema.schema_of(schema.KILL_MATRIX)).validate(json.loads(said))
        assert (3, 3, 0, 2) == (matrix.num_faults, matrix.num_caught, matrix.num_false_alarms, matrix.num_controls)
        assert set(SOME) == {fault.name for fault in matrix.faults}
        by_name = {fault.name: fault for fault in matrix.faults}
        assert ("merged", "verify", "write") == by_name["one_expert_missed"].caught_by
        assert all(len(control.alarms) == 0 and control.num_checks == len(CHECKS) for control in matrix.controls)
        hits.append(by_name["one_expert_missed"].cases[0].hit)
        assert "3 of 3 faults caught and named" in told
        assert {"adapters", "merging", "loading"} >= {fault.area for fault in matrix.faults}
        folder = out / "runs" / matrix.run_id
        assert said == (folder / "faults.json").read_text(encoding="utf-8")
        assert str(folder / "faults.html") in told
        newest = newest_faults(out)
        assert newest is not None
        assert matrix.run_id == newest.run_id
    assert hits[0] != hits[1]


NEW = """
from cases.injecting import Scene
from harness.records.faults import Fault

FAULT = Fault(
    what="Somebody's new fault.", source="this test", place="artifact", only="a test needs one", {more}
    cases=("qwen3-float32-loop",), names={{"merged": "delta_missing", "verify": "delta_missing"}},
)


def strike(scene: Scene) -> None:
    \"\"\"Says that a tensor is hit, and does this to it.\"\"\"
    name = scene.pick(scene.tensors("attention"))
    {does}
"""
UNSEEN = NEW.format(more="", does="scene.hits(name)")
WITHOUT_A_CLEAN_TWIN = NEW.format(more='clean="INCONCLUSIVE",', does="scene.left_as_base(name)")


def test_a_new_fault_that_no_check_catches_or_whose_clean_twin_fails_is_refused(
    new_out: NewOut, tmp_path: Path
) -> None:
    """The first changes nothing. The second's clean twin passes, where it says that nothing could be told of it."""
    for package in ("harness", "cases", "reference", "reports"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "out"))
    for name, text in {"unseen": UNSEEN, "twinless": WITHOUT_A_CLEAN_TWIN}.items():
        (tmp_path / f"cases/faults/merging/{name}.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    process = start(command(new_out(), "-k", "unseen or twinless"), environment, root=tmp_path)
    said, told = process.communicate(timeout=600)
    matrix = codec.decode(KillMatrix, json.loads(said), where=told)
    assert (1, 2, 2) == (process.returncode, matrix.num_faults, matrix.num_controls)
    by_name = {fault.name: fault for fault in matrix.faults}
    assert ((), False) == (by_name["unseen"].caught_by, by_name["unseen"].is_caught)
    assert by_name["twinless"].is_caught  # the fault itself is seen
    assert 1 == matrix.num_false_alarms
    [alarms] = [control.alarms for control in matrix.controls if control.alarms]
    assert any("PASS" in alarm and "expected INCONCLUSIVE" in alarm for alarm in alarms)


def test_an_expression_that_no_fault_matches_is_bad_usage(tmp_path: Path) -> None:
    """One line, exit 2, before anything is built."""
    process = start(command(tmp_path, "-k", "nobody"))
    said, told = process.communicate(timeout=60)
    assert (2, "") == (process.returncode, said)
    assert "no fault matches -k" in told


def test_a_variation_is_another_computation_of_the_same(new_out: NewOut, catalogue: Catalogue) -> None:
    """Noise is measured with it: it passes, and attention without a fused kernel changes bits; batches need not."""
    [case] = [case for case in catalogue.cases if case.name == "qwen3_moe-float32-loop"]
    write = PlannedWrite(case=case, family=catalogue.families[case.family], cell=ROW)
    plain = PlannedRead(case=case, family=write.family, writer=ROW, reader=ROW, form="lora", dialect="")
    names = sorted(modules(cases.variations))
    varied = [replace(plain, strike=Strike(fault=name, seed=1)) for name in names]
    prepared = prepare("test", [ROW], catalogue.matrix, out=new_out(), today=TODAY, command="")
    execution = execute_in(prepared, [write], [plain, *varied])
    logits = {}
    for read in (plain, *varied):
        ended = ended_of(execution.reads[read.id], execution.writes[write.id])
        context = Context(out=prepared.store.out, known={}, today=TODAY)
        assert "PASS" == read_result(read, ended, context).judgement.verdict
        assert ended.directory is not None
        logits[read.id] = np.load(ended.directory / RELOADED)["logits"]
    changed = {name for name, read in zip(names, varied, strict=True) if (logits[read.id] != logits[plain.id]).any()}
    assert "eager_attention" in changed
