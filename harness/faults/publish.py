"""Writes a kill matrix and its views into its run's folder, where the report of a run finds the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.records.faults import KillMatrix
from harness.runs.newest_faults import FAULTS, LATEST_FAULTS, newest_faults
from reports.faults import html, json_document, markdown
from reports.files import write_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Where a kill matrix was written."""

    json: Path
    html: Path
    markdown: Path


def publish(matrix: KillMatrix, out: Path) -> Views:
    """Write JSON, HTML and Markdown of `matrix` into its run's folder; the JSON last: it implies the rest.

    Of some faults alone it does not become the newest where there is one of all. Raises StorageError.
    """
    folder = out / "runs" / matrix.run_id
    views = Views(
        html=write_text(folder / "faults.html", html.render(matrix)),
        markdown=write_text(folder / "faults.md", markdown.render(matrix)),
        json=write_text(folder / FAULTS, json_document.render(matrix)),
    )
    newest = newest_faults(out)
    if not matrix.expression or newest is None or newest.expression:
        write_text(out / LATEST_FAULTS, f"{matrix.run_id}\n")
    return views
