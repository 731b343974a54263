"""Hands the two pytest modules their jobs: the engine's batch, or (by hand) every case that fits this environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases.worker import Worker, load_batch

BATCH = load_batch()
collect_ignore = ["test_write.py"] if BATCH and not BATCH.writes else []
# By hand there is one environment and so nothing to read but what each write already reads back itself.
collect_ignore += ["test_read.py"] if not BATCH or not BATCH.reads else []


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Worker:
    """Runs jobs in this process and tells the engine, if there is one, how far it is."""
    from cases.by_hand import stack_of_this_environment

    stack = BATCH.stack if BATCH else stack_of_this_environment()
    return Worker(BATCH, stack, Path(tmp_path_factory.mktemp("bases")))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a job, named by the job."""
    if "write_job" in metafunc.fixturenames:
        from cases.by_hand import jobs_for_this_environment

        writes = BATCH.writes if BATCH else jobs_for_this_environment()
        metafunc.parametrize("write_job", writes, ids=[job.id for job in writes])
    if "read_job" in metafunc.fixturenames and BATCH:
        metafunc.parametrize("read_job", BATCH.reads, ids=[job.id for job in BATCH.reads])
