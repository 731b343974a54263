"""A run that has no row to work in still ends in a report."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.faults.publish import publish
from harness.runs import workflow
from harness.runs.newest_faults import summary_of
from harness.runs.request import RunRequest, load_catalogue
from tests.reports.conftest import make_cell
from tests.reports.faults.builders import MATRICES


def test_a_report_says_what_the_newest_kill_matrix_of_its_folder_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing where there is none; a kill matrix of another folder is no business of it."""
    unbuilt = workflow.Row(report=make_cell("r1", error="no solution"), working=None)
    monkeypatch.setattr(workflow, "prepare_cells", lambda *_arguments: {"r1": unbuilt})
    catalogue = load_catalogue()
    for folder in ("with", "without"):
        if folder == "with":
            publish(MATRICES["bad"], tmp_path / folder)
        request = RunRequest(out=tmp_path / folder, cells=("r1",), today=date(2026, 11, 22), command="deltaproof run")
        report = workflow.run(request, catalogue)
        assert ExitCode.ENVIRONMENT == report.exit_code
        assert (summary_of(MATRICES["bad"]) if folder == "with" else None) == report.faults
