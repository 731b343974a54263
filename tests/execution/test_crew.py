"""Cells that crash, hang, are killed or say nonsense: ERROR with the end of the log, and everything else goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.execution.outcome import Phase, Silence
from harness.records.jobs import Batch
from tests.execution.conftest import PATIENT, Bench, errors

CASES = ("one", "two", "three")
SHORT = replace(PATIENT, job_s=0.5)


@pytest.mark.parametrize(
    ("order", "reason", "in_log"),
    [
        ("exit", "its process ended with exit status 3 in the middle of this job", "leaving now"),
        ("kill", "its process was killed by SIGKILL in the middle of this job", "hello from r1"),
        ("hang", "its process was stopped: it hung for 0.5 s while doing this job in the middle of this job", "obey"),
    ],
)
def test_a_job_that_ends_its_process_is_the_only_one_lost(bench: Bench, order: str, reason: str, in_log: str) -> None:
    """The job is an error with the log's end; its cell's other jobs are done by a new process, the other cell's too."""
    execution = bench.run(cases=CASES, orders={"two@r1": order}, limits=SHORT if order == "hang" else PATIENT)

    assert {"two@r1": reason} == errors(execution.writes)
    assert in_log in execution.writes["two@r1"].error
    assert {"two@r1>merged>r1", "two@r1>merged>r2"} == errors(execution.reads).keys()
    ends = [process.end for process in execution.processes if process.phase == "write" and process.cell == "r1"]
    assert [True, False] == [bool(end) for end in ends]


def test_a_job_that_raises_costs_no_process(bench: Bench) -> None:
    """Its traceback is its error, and the same process goes on."""
    execution = bench.run(cases=CASES, orders={"two@r1": "raise"})

    assert ["two@r1"] == list(errors(execution.writes))
    assert "ValueError: as ordered" in execution.writes["two@r1"].error
    assert 2 == sum(process.phase == "write" for process in execution.processes)


def test_a_job_without_an_artifact_is_an_error(bench: Bench) -> None:
    """A process that says "finished" is not believed: the artifact decides."""
    execution = bench.run(["r1"], ["one"], orders={"one@r1": "leave nothing"})

    assert {"one@r1": "it ended without leaving its artifact"} == errors(execution.writes)


def test_a_lost_job_is_tried_again_by_the_next_run(bench: Bench) -> None:
    """An error is of this run alone: nothing of it is stored."""
    first = bench.run(orders={"one@r1": "kill"})
    second = bench.run()

    assert ["one@r1"] == list(errors(first.writes))
    assert {} == errors(second.writes) | errors(second.reads)
    assert {"one@r1"} == {name for name, outcome in second.writes.items() if not outcome.reused}


def test_a_hung_job_is_traced_and_its_children_end(bench: Bench) -> None:
    """The log's end shows where it hung; what it had started is gone when the engine returns."""
    execution = bench.run(["r1"], ["one"], orders={"one@r1": "start a child and hang"}, limits=SHORT)

    assert "Fatal Python error: Aborted" in execution.writes["one@r1"].error
    assert 2 == len(bench.logged("process"))
    bench.wait_for_workers()


def test_three_deaths_are_enough(bench: Bench) -> None:
    """After three dead processes of a cell the rest of its jobs are given up; the other cell is whole."""
    cases = ["one", "two", "three", "four", "five"]
    orders = {f"{name}@r1": "exit" for name in cases[:4]}
    execution = bench.run(cases=cases, orders=orders)

    lost = errors(execution.writes)
    assert {f"{name}@r1" for name in cases} == lost.keys()
    for name in ("four@r1", "five@r1"):
        assert "its process ended with exit status 3 before this job began; given up after 3 such ends" == lost[name]
        assert "leaving now" in execution.writes[name].error
    assert 3 == sum(process.phase == "write" and process.cell == "r1" for process in execution.processes)


def test_a_process_that_cannot_start_work_is_not_tried_again(bench: Bench) -> None:
    """An import that fails fails every time: one process, and all jobs are errors with its log."""
    execution = bench.run(["r1"], CASES, orders={"start": "raise"})

    assert {f"{name}@r1" for name in CASES} == errors(execution.writes).keys()
    assert "ValueError: as ordered" in execution.writes["one@r1"].error
    assert 1 == len(execution.processes)
    assert execution.processes[0].until_first_job_s == execution.processes[0].wall_s


def test_a_process_killed_before_its_first_job_is_tried_again(bench: Bench) -> None:
    """Being killed is not the code's doing: the next process does all jobs."""

    class Deaths(Silence):
        def __init__(self) -> None:
            self.reasons: list[str] = []

        def cell_died(self, phase: Phase, cell: str, reason: str) -> None:
            self.reasons.append(f"{phase} {cell}: {reason}")

    deaths = Deaths()
    execution = bench.run(["r1"], ["one"], orders={"start": "kill once"}, progress=deaths)

    assert {} == errors(execution.writes)
    assert ["write r1: its process was killed by SIGKILL"] == deaths.reasons


def test_a_process_that_hangs_at_its_start_is_stopped(bench: Bench) -> None:
    """The start has a limit of its own, and the log shows where it hung."""
    execution = bench.run(["r1"], ["one"], orders={"start": "hang"}, limits=replace(PATIENT, start_s=2.0))

    assert "it hung for 2 s while starting before this job began" in errors(execution.writes)["one@r1"]
    assert "about to hang" in execution.writes["one@r1"].error


def test_a_process_that_speaks_nonsense_is_stopped(bench: Bench) -> None:
    """An event that is none ends the process, with the line in the error."""
    execution = bench.run(["r1"], ["one"], orders={"one@r1": "babble"})

    assert "is not JSON; got b'this is no event'" in errors(execution.writes)["one@r1"]


def test_a_python_that_is_not_there_is_an_error_of_its_cell(bench: Bench) -> None:
    """The others go on."""

    def command(python: Path, code: Path, batch: Batch) -> list[str]:
        program = "/nowhere/python" if batch.cell == "r1" else sys.executable
        return [program, "-S", str(Path(__file__).with_name("fake_worker.py"))]

    execution = bench.run(cases=["one"], command=command)

    assert ["one@r1"] == list(errors(execution.writes))
    assert "could not be started" in execution.writes["one@r1"].error
