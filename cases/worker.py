"""The inside of a cell: does jobs, leaves artifacts, reports progress, asks the one judge. Decides nothing itself."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from harness import artifacts
from harness import worker as engine
from harness.checkpoints.base import write_base
from harness.judging.gates import load_gates
from harness.judging.judge import judge
from harness.metrics import measure_all
from harness.metrics.observed import Observed, observed_read, observed_write
from harness.records.cases import Form
from harness.records.jobs import Batch, ReadJob, WriteJob
from harness.records.results import Judgement


def load_batch() -> Batch | None:
    """The engine's batch, or None when people run pytest by hand."""
    return engine.attach() if engine.BATCH in os.environ else None


class Worker:
    """Runs the jobs of one process, one after the other."""

    def __init__(self, batch: Batch | None, scratch: Path) -> None:
        self.batch = batch
        self.scratch = scratch

    def write(self, job: WriteJob) -> Observed:
        """Train and save; the artifact appears whole or not at all."""
        from reference.torch_peft.writing import write

        directory = Path(job.directory)
        with self._reporting(job.id), artifacts.creating(directory) as partial:
            artifacts.finish(partial, write(job, partial))
        return observed_write(job.case, job.family, artifacts.read_answer(directory), directory)

    def read(self, job: ReadJob) -> Observed:
        """Reload and observe; the artifact appears whole or not at all."""
        from reference.torch_peft.reading import read

        directory, written = Path(job.directory), Path(job.written)
        with self._reporting(job.id), artifacts.creating(directory) as partial:
            artifacts.finish(partial, read(job, partial))
        answer, write_answer = artifacts.read_answer(directory), artifacts.read_answer(written)
        return observed_read(job.case, job.family, job.form, answer, directory, write_answer, written)

    def expect_pass(self, observed: Observed) -> None:
        """Fail the running test with the judge's own words unless the verdict is PASS."""
        judgement = judge(observed, measure_all(observed), load_gates())
        if judgement.verdict != "PASS":
            pytest.fail(_text(judgement), pytrace=False)

    def by_hand(self, job: WriteJob, directory: Path) -> WriteJob:
        """`job` with a base and a directory of this test's own."""
        base = directory / "base"
        base.mkdir()
        write_base(base, job.family, job.case)
        return replace(job, base=str(base), directory=str(directory / "write"))

    def own_read(self, job: WriteJob, form: Form, directory: Path) -> ReadJob:
        """The read of what this environment itself has just written."""
        return ReadJob(
            id=f"{job.id}>{form}>{job.writer}",
            case=job.case,
            family=job.family,
            writer=job.writer,
            reader=job.writer,
            form=form,
            base=job.base,
            written=job.directory,
            directory=str(directory / f"read-{form}"),
        )

    def _reporting(self, job: str) -> AbstractContextManager[None]:
        return engine.reporting(self.batch, job) if self.batch is not None else nullcontext()


def _text(judgement: Judgement) -> str:
    lines = [f"{judgement.verdict}: {judgement.cause}"]
    lines += [f"  {finding.kind}: {finding.message} {finding.where.tensor}" for finding in judgement.findings[:20]]
    lines += [f"  {check.name}: {check.message}" for check in judgement.checks if check.verdict != "PASS"]
    return "\n".join(lines)
