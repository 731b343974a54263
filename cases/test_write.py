"""Train one case in this environment and save it; then judge what the write alone shows.

Under the engine, reading back is a job of its own in a fresh process. By hand (`pytest cases -n auto`) there is no
second process, so each write is read back here, in both forms and every dialect.
"""

from __future__ import annotations

from pathlib import Path

from cases.worker import Worker
from harness.records.jobs import WriteJob


def test_write(write_job: WriteJob, worker: Worker, tmp_path: Path) -> None:
    """What was trained is in the files that were saved."""
    if worker.batch is not None:
        worker.expect_pass(worker.write(write_job))
        return
    job = worker.by_hand(write_job, tmp_path)
    worker.expect_pass(worker.write(job))
    for read in worker.own_reads(job, tmp_path):
        worker.expect_pass(worker.read(read))
