"""Writes what canaries say into its run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.records.canaries import CanaryReport
from reports.canaries import json_document
from reports.files import write_text

LATEST_CANARIES = "latest-canaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Where a report was written."""

    json: Path


def publish(report: CanaryReport, out: Path) -> Views:
    """Write the views of `report` into its run's folder; the JSON last: it implies the rest. Raises StorageError."""
    folder = out / "runs" / report.run_id
    views = Views(json=write_text(folder / "canaries.json", json_document.render(report)))
    write_text(out / LATEST_CANARIES, f"{report.run_id}\n")
    return views
