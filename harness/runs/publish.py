"""Writes a run's report and its views into the run's folder, and finds reports again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.records.results import Report
from reports import html, json_report, junit, markdown
from reports.files import write_text

LATEST = "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Where a report was written."""

    json: Path
    html: Path
    junit: Path
    markdown: Path


def publish(report: Report, out: Path) -> Views:
    """Write JSON, HTML, JUnit and Markdown of `report` into its run's folder; the JSON last: it implies the rest."""
    folder = out / "runs" / report.run_id
    views = Views(
        html=write_text(folder / "report.html", html.render(report)),
        junit=write_text(folder / "report.xml", junit.render(report)),
        markdown=write_text(folder / "report.md", markdown.render(report)),
        json=json_report.write_report(report, folder / "report.json"),
    )
    write_text(out / LATEST, f"{report.run_id}\n")
    return views


def find_report(run: str, out: Path) -> Path:
    """The report that `run` names: a path to a JSON, a run's folder, a run id (or a unique beginning), or "latest".

    Raises UsageError with the runs that there are.
    """
    as_path = Path(run)
    if as_path.is_file():
        return as_path
    if (as_path / "report.json").is_file():
        return as_path / "report.json"
    runs = out / "runs"
    ids = sorted(path.parent.name for path in runs.glob("*/report.json"))
    if run == LATEST and ids:
        return runs / ids[-1] / "report.json"
    matches = [name for name in ids if name == run or name.startswith(run)]
    if len(matches) != 1:
        what = "no such run" if not matches else "several runs begin so"
        known = ", ".join((matches or ids)[-5:]) or "none yet"
        raise UsageError(what, where=str(runs), got=run, expected=f"a path to a report.json, or one of: {known}")
    return runs / matches[0] / "report.json"
