"""Reload one form of what a cell saved, and judge whether it is what was trained."""

from __future__ import annotations

from cases.worker import Worker
from harness.records.jobs import ReadJob


def test_read(read_job: ReadJob, worker: Worker) -> None:
    """What comes back is what was trained."""
    worker.expect_pass(worker.read(read_job))
