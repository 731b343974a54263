"""Where what canaries say is written, and how the newest is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.canaries import publish as publishing
from harness.canaries.publish import LATEST_CANARIES, publish
from harness.errors import StorageError
from reports.canaries import html, json_document, markdown, sarif
from tests.reports.canaries.builders import REPORTS


def test_all_views_are_written_and_the_newest_is_named(tmp_path: Path) -> None:
    """In the run's folder, under names that a job can rely on."""
    report = REPORTS["states"]
    views = publish(report, tmp_path)
    folder = tmp_path / "runs" / report.run_id
    assert {"canaries.html", "canaries.md", "canaries.sarif", "canaries.json"} == {
        each.name for each in folder.iterdir()
    }
    for path, view in (
        (views.html, html),
        (views.markdown, markdown),
        (views.sarif, sarif),
        (views.json, json_document),
    ):
        assert view.render(report) == path.read_text("utf-8")
    assert f"{report.run_id}\n" == (tmp_path / LATEST_CANARIES).read_text("utf-8")
    publish(replace(report, run_id="canaries-later"), tmp_path)
    assert "canaries-later\n" == (tmp_path / LATEST_CANARIES).read_text("utf-8")
    assert views.json.is_file()


def test_what_is_cut_short_is_not_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The JSON implies the rest, and the name all of it."""
    publish(REPORTS["good"], tmp_path)

    def full(_report: object) -> str:
        raise StorageError("no room", where="here")

    monkeypatch.setattr(publishing.markdown, "render", full)
    with pytest.raises(StorageError):
        publish(replace(REPORTS["good"], run_id="canaries-later"), tmp_path)
    assert not (tmp_path / "runs" / "canaries-later" / "canaries.json").exists()
    assert f"{REPORTS['good'].run_id}\n" == (tmp_path / LATEST_CANARIES).read_text("utf-8")


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_every_report_can_be_written(name: str, tmp_path: Path) -> None:
    """Whatever a release has in its texts."""
    report = replace(REPORTS[name], run_id="canaries-any")
    assert publish(report, tmp_path).html.stat().st_size > 1000
