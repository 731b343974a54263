"""The environments of a run: what is in them, what people can do in them by hand, and one that cannot be."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cells.environments import differences, installed
from harness.cells.locks import parse_lock
from harness.cells.records import BuiltCell
from harness.cells.variables import cell_environment
from harness.records.cases import Cell
from harness.runs.request import Catalogue, RunRequest
from harness.runs.workflow import run
from tests.end_to_end.conftest import ROOT, ROW, TODAY, NewOut, routes, verdicts

pytestmark = pytest.mark.registry

OURS = ("deltaproof", "harness", "reference", "cases", "reports")
TWO_CASES = "(qwen3-float32-loop or llama-float32-loop) and not tied and not modules_to_save"


def test_an_environment_holds_its_lock_and_nothing_of_ours(built: BuiltCell, tmp_path: Path) -> None:
    """What is installed is what is locked, and none of our packages can be imported."""
    locked = parse_lock(built.resolved.lock_path.read_text(), where=ROW)
    look = f"from importlib.util import find_spec; print([name for name in {OURS} if find_spec(name)])"
    variables = cell_environment(scratch=tmp_path, code=tmp_path)

    found = subprocess.run(
        [str(built.python), "-c", look], env=variables, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert [] == differences(locked, installed(built.directory))
    assert {"torch", "transformers", "peft", "trl", "pytest", "pytest-xdist"} <= locked.keys()
    assert "[]" == found.stdout.strip()


def test_cases_can_be_run_by_hand_in_an_environment(built: BuiltCell, tmp_path: Path) -> None:
    """`python -m pytest cases -n 2` in the repository's root: two cases train, save, reload and pass, side by side."""
    variables = cell_environment(scratch=tmp_path, code=ROOT) | {"PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-n", "2", "-k", TWO_CASES, "--basetemp", str(tmp_path / "pytest")]

    ended = subprocess.run(
        [str(built.python), "-m", "pytest", "cases", *options],
        env=variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_a_row_that_cannot_be_resolved_is_told_and_the_others_run(new_out: NewOut, catalogue: Catalogue) -> None:
    """Requirements that conflict are reported in uv's words; the other row trains and passes; the run exits 4."""
    [row] = [cell for cell in catalogue.matrix.cells if cell.name == ROW]
    conflict = {**row.requirements, "tokenizers": "0.15.0"}
    impossible = Cell(name="impossible", why="a conflict", stack="torch_peft", requirements=conflict)
    matrix = replace(catalogue.matrix, cells=(impossible, row))
    case = "qwen3-float32-loop"
    write, (_, merged) = f"{case}@{ROW}", routes(case)
    request = RunRequest(out=new_out(), expression=f"{write} or {merged}", today=TODAY, command="a test")

    report = run(request, replace(catalogue, matrix=matrix))

    assert ("ERROR", 4) == (report.verdict, report.exit_code)
    cells = {cell.name: cell for cell in report.cells}
    assert "" == cells[ROW].error
    for words in ("unsatisfiable", "tokenizers==0.15.0", "transformers==5.5.0"):
        assert words in cells["impossible"].error
    assert {write: "PASS", merged: "PASS"} == verdicts(report)
