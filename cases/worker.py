"""The inside of a cell: does jobs, leaves artifacts, reports progress, asks the one judge. Decides nothing itself."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cases.injecting import struck
from harness import artifacts
from harness import worker as engine
from harness.checkpoints.base import write_base
from harness.checkpoints.dialects import routes_of
from harness.judging.gates import load_gates
from harness.judging.judge import judge
from harness.metrics import measure_all
from harness.metrics.observed import Observed, observed_read, observed_write
from harness.records.cases import STACKS, Stack, saved_as
from harness.records.jobs import Batch, ReadJob, WriteJob
from harness.records.results import Judgement


def load_batch() -> Batch | None:
    """The engine's batch, or None when people run pytest by hand."""
    return engine.attach() if engine.BATCH in os.environ else None


class Worker:
    """Runs the jobs of one process, one after the other."""

    def __init__(self, batch: Batch | None, stack: Stack, scratch: Path) -> None:
        self.batch = batch
        self.stack = stack
        self.scratch = scratch

    def write(self, job: WriteJob) -> Observed:
        """Train and save; the artifact appears whole or not at all."""
        directory = Path(job.directory)
        with self._reporting(job.id), artifacts.creating(directory) as partial:
            with struck(job, self.stack) as hit:
                answer = self._entry("writing").write(job, partial)
            artifacts.finish(partial, replace(answer, hit=hit()))
        return observed_write(job.case, job.family, artifacts.read_answer(directory), directory)

    def read(self, job: ReadJob) -> Observed:
        """Reload and observe; the artifact appears whole or not at all."""
        directory, written = Path(job.directory), Path(job.written)
        with self._reporting(job.id), artifacts.creating(directory) as partial:
            with struck(job, self.stack) as hit:
                answer = self._entry("reading").read(job, partial)
            artifacts.finish(partial, replace(answer, hit=hit()))
        answer, write_answer = artifacts.read_answer(directory), artifacts.read_answer(written)
        is_own_row = job.reader == job.writer
        return observed_read(
            job.case, job.family, job.form, answer, directory, write_answer, written, is_own_row=is_own_row
        )

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

    def own_reads(self, job: WriteJob, directory: Path) -> Iterator[ReadJob]:
        """The reads of what this environment itself has just written: each form, in each dialect."""
        for form, dialect in routes_of(job.case, job.family, self.stack):
            word = saved_as(form, dialect)
            yield ReadJob(
                id=f"{job.id}>{word}>{job.writer}",
                case=job.case,
                family=job.family,
                writer=job.writer,
                reader=job.writer,
                form=form,
                dialect=dialect,
                base=job.base,
                written=job.directory,
                directory=str(directory / f"read-{word}"),
            )

    def _entry(self, name: str) -> Any:
        """The module of this process's stack that does such jobs. Imported here, where its packages are sure to be."""
        assert self.stack in STACKS, self.stack
        return importlib.import_module(f"reference.{self.stack}.{name}")

    def _reporting(self, job: str) -> AbstractContextManager[None]:
        return engine.reporting(self.batch, job) if self.batch is not None else nullcontext()


def _text(judgement: Judgement) -> str:
    lines = [f"{judgement.verdict}: {judgement.cause}"]
    lines += [f"  {finding.kind}: {finding.message} {finding.where.tensor}" for finding in judgement.findings[:20]]
    lines += [f"  {check.name}: {check.message}" for check in judgement.checks if check.verdict != "PASS"]
    return "\n".join(lines)
