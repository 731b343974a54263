"""The inside of a cell, with stacks made for it: the one that is named does the jobs, and no other is imported."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from cases.worker import Worker
from harness.records.cases import STACKS, Case, Family, Stack
from harness.records.jobs import Answer, Batch, ReadJob, WriteJob
from tests.observations import DENSE, MOE, make_case


class Told(list[tuple[str, str]]):
    """Which stack did which job."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Stacks in the real ones' places, which do nothing but tell."""
    done = Told()
    for stack in STACKS:
        for module, function in (("writing", "write"), ("reading", "read")):
            stand_in = ModuleType(f"reference.{stack}.{module}")
            setattr(stand_in, function, _telling(stack, done))
            monkeypatch.setitem(sys.modules, f"reference.{stack}", ModuleType(f"reference.{stack}"))
            monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    return done


def _telling(stack: str, done: Told) -> object:
    def do(job: WriteJob | ReadJob, directory: Path) -> Answer:
        assert directory.is_dir()
        done.append((stack, job.id))
        return Answer(job=job.id, stack=stack)

    return do


def write_job(folder: Path, family: Family = MOE, case: Case | None = None) -> WriteJob:
    """A write of the tiny case into `folder`."""
    case = case or make_case(family)
    return WriteJob(
        id=f"{case.name}@here", case=case, family=family, writer="here", base="b", directory=str(folder / "w")
    )


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_of_the_batch_does_the_jobs(tmp_path: Path, told: Told, stack: Stack) -> None:
    """Writes and reads alike; what it answers is the artifact's answer."""
    batch = Batch(cell="here", stack=stack, phase="write", events=str(tmp_path / "events.jsonl"))
    worker = Worker(batch, batch.stack, tmp_path)
    job = write_job(tmp_path)
    assert stack == worker.write(job).answer.stack
    read = next(worker.own_reads(job, tmp_path))
    assert "own_row" == worker.read(read).reach
    assert "own_stack" == worker.read(replace(read, reader="there", directory=str(tmp_path / "other"))).reach
    assert [(stack, job.id), (stack, read.id), (stack, read.id)] == told


@pytest.mark.parametrize(
    ("family", "stack", "expected"),
    [
        pytest.param(MOE, "torch_peft", ["lora", "merged"], id="experts by PEFT"),
        pytest.param(DENSE, "jax_stacked", ["lora", "merged"], id="dense by jax"),
        pytest.param(
            MOE, "jax_stacked", ["lora-standard", "lora-swapped", "lora-per_expert", "merged"], id="experts by jax"
        ),
    ],
)
def test_by_hand_a_write_is_read_in_every_form_and_dialect_of_its_stack(
    tmp_path: Path, family: Family, stack: Stack, expected: list[str]
) -> None:
    """Under the ids that a plan gives to such routes, each into a folder of its own."""
    reads = list(Worker(None, stack, tmp_path).own_reads(write_job(tmp_path, family), tmp_path))
    assert [f"{family.name}-tiny@here>{word}>here" for word in expected] == [read.id for read in reads]
    assert len(reads) == len({read.directory for read in reads})
    assert {str(tmp_path / "w")} == {read.written for read in reads}
