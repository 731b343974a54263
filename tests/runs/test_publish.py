"""A run's report and its views on disk, and reports found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StorageError, UsageError
from harness.runs.publish import find_report, publish
from reports.json_report import read_report
from tests.reports.conftest import make_report
from tests.runs.builders import result_of

REPORT = make_report([result_of()], full_count=())


def test_a_report_is_published_in_all_its_views(tmp_path: Path) -> None:
    """JSON, HTML, JUnit and Markdown in the run's folder; the JSON is the record, and `latest` names the run."""
    views = publish(REPORT, tmp_path)
    folder = tmp_path / "runs" / REPORT.run_id
    assert {folder / f"report.{end}" for end in ("json", "html", "xml", "md")} == set(folder.iterdir())
    assert {views.json, views.html, views.junit, views.markdown} == set(folder.iterdir())
    assert REPORT == read_report(views.json)
    assert f"{REPORT.run_id}\n" == (tmp_path / "latest").read_text()


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A file stands where the folder should."""
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StorageError, match="runs"):
        publish(REPORT, tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output folder with three runs, and one that has no report."""
    for run_id in ("20261119T01-aa", "20261120T01-bb", "20261120T02-cc"):
        (tmp_path / "runs" / run_id).mkdir(parents=True)
        (tmp_path / "runs" / run_id / "report.json").write_text("{}")
    (tmp_path / "runs" / "20261121T01-dd").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param("20261120T01-bb", "20261120T01-bb", id="an id"),
        pytest.param("20261119", "20261119T01-aa", id="a beginning that only one has"),
        pytest.param("latest", "20261120T02-cc", id="latest with a report"),
    ],
)
def test_a_run_is_found_by_name(out: Path, run: str, expected: str) -> None:
    """An id, the unique beginning of one, and `latest`, which passes over a run that has no report."""
    assert out / "runs" / expected / "report.json" == find_report(run, out)


def test_a_run_is_found_by_path(out: Path, tmp_path: Path) -> None:
    """A report's file, or the folder that it is in, wherever they are."""
    folder = out / "runs" / "20261119T01-aa"
    nowhere = tmp_path / "nowhere"
    assert folder / "report.json" == find_report(str(folder / "report.json"), nowhere)
    assert folder / "report.json" == find_report(str(folder), nowhere)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        pytest.param("20261122", ["no such run", "20261119T01-aa", "20261120T02-cc", "got 20261122"], id="unknown"),
        pytest.param("20261120", ["several runs begin so", "20261120T01-bb", "20261120T02-cc"], id="ambiguous"),
        pytest.param("20261121T01-dd", ["no such run"], id="no report"),
        pytest.param("", ["several runs begin so"], id="nothing"),
        pytest.param("../runs", ["no such run"], id="a path that is no run"),
    ],
)
def test_a_run_that_is_not_there_lists_those_that_are(out: Path, run: str, words: list[str]) -> None:
    """The user's mistake, with the names there are."""
    with pytest.raises(UsageError) as raised:
        find_report(run, out)
    for word in words:
        assert word in str(raised.value)


def test_without_any_run_it_says_so(tmp_path: Path) -> None:
    """Also for `latest`."""
    with pytest.raises(UsageError, match="none yet"):
        find_report("latest", tmp_path)
