"""A kill matrix on disk, where the report of a run finds it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness import codec
from harness.errors import StorageError
from harness.faults.publish import publish
from harness.records.faults import KillMatrix
from harness.runs.newest_faults import LATEST_FAULTS, newest_faults, summary_of
from reports.faults import html, markdown
from tests.reports.faults.builders import MATRICES

WHOLE = MATRICES["bad"]
LATER = replace(MATRICES["good"], run_id="faults-20261122T010000-aaaa")
SELECTION = replace(MATRICES["selection"], run_id="faults-20261123T010000-bbbb")


def test_a_matrix_is_published_in_all_its_views(tmp_path: Path) -> None:
    """JSON, HTML and Markdown in the run's folder; a later one takes its place as the newest."""
    assert newest_faults(tmp_path) is None
    views = publish(WHOLE, tmp_path)
    folder = tmp_path / "runs" / WHOLE.run_id
    assert {views.json, views.html, views.markdown} == set(folder.iterdir())
    assert WHOLE == codec.read_json(KillMatrix, folder / "faults.json")
    assert html.render(WHOLE) == views.html.read_text("utf-8")
    assert markdown.render(WHOLE) == views.markdown.read_text("utf-8")
    assert summary_of(WHOLE) == newest_faults(tmp_path)
    publish(LATER, tmp_path)
    assert summary_of(LATER) == newest_faults(tmp_path)


def test_some_faults_do_not_stand_for_all(tmp_path: Path) -> None:
    """A selection is the newest until there is a matrix of all, and takes no such matrix's place."""
    publish(SELECTION, tmp_path)
    assert summary_of(SELECTION) == newest_faults(tmp_path)
    publish(replace(SELECTION, run_id="faults-20261124T010000-cccc", seed=9), tmp_path)
    newest = newest_faults(tmp_path)
    assert newest is not None
    assert 9 == newest.seed
    publish(WHOLE, tmp_path)
    publish(SELECTION, tmp_path)
    assert summary_of(WHOLE) == newest_faults(tmp_path)
    assert (tmp_path / "runs" / SELECTION.run_id / "faults.json").is_file()


@pytest.mark.parametrize("what", ["gone", "cut short", "another schema", "elsewhere", "empty", "no text"])
def test_a_matrix_that_cannot_be_read_is_none(tmp_path: Path, what: str) -> None:
    """Gone, cut short, of another schema, or a name that leads out of the folder: nothing is said of it."""
    file = publish(WHOLE, tmp_path).json
    pointer = tmp_path / LATEST_FAULTS
    assert newest_faults(tmp_path) is not None
    if what == "gone":
        file.unlink()
    elif what == "cut short":
        file.write_text(file.read_text()[:-20])
    elif what == "another schema":
        file.write_text(json.dumps({**json.loads(file.read_text()), "schema_version": "0.9"}))
    elif what == "elsewhere":
        (tmp_path / "faults.json").write_text(file.read_text())
        pointer.write_text("..")
    else:
        pointer.write_bytes(b"\n" if what == "empty" else b"\xff\xfe\n")
    assert newest_faults(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StorageError, match="runs"):
        publish(WHOLE, tmp_path)
