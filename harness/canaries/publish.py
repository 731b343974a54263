"""Writes what canaries say, and its views, into its run's folder, and leaves the name of the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.records.canaries import CanaryReport
from reports.canaries import html, json_document, markdown, sarif
from reports.files import write_text

LATEST_CANARIES = "latest-canaries"
"""In the output folder, beside `latest`: the run id of the newest report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Where a report was written."""

    json: Path
    html: Path
    markdown: Path
    sarif: Path


def publish(report: CanaryReport, out: Path) -> Views:
    """Write all views of `report` into its run's folder; the JSON last: it implies the rest. Raises StorageError."""
    folder = out / "runs" / report.run_id
    views = Views(
        html=write_text(folder / "canaries.html", html.render(report)),
        markdown=write_text(folder / "canaries.md", markdown.render(report)),
        sarif=write_text(folder / "canaries.sarif", sarif.render(report)),
        json=write_text(folder / "canaries.json", json_document.render(report)),
    )
    write_text(out / LATEST_CANARIES, f"{report.run_id}\n")
    return views
