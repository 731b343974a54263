"""Runs that end as they should: outcomes, reuse, damage, and what is told on the way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness import codec
from harness.artifacts import read_answer
from harness.execution.outcome import Outcome, Phase, Silence
from harness.records.jobs import Batch
from tests.execution.conftest import Bench, errors, outcomes_of
from tests.execution.plans import JAX


def test_every_job_of_the_grid_leaves_an_artifact(bench: Bench) -> None:
    """Two cells and two cases are four writes and eight reads, each with its own answer."""
    execution = bench.run()

    assert (4, 8) == (len(execution.writes), len(execution.reads))
    assert {} == errors(execution.writes) | errors(execution.reads)
    for name, outcome in (*execution.writes.items(), *execution.reads.items()):
        assert outcome.directory is not None
        assert name == read_answer(outcome.directory).job
    assert ["write", "write", "read", "read"] == [process.phase for process in execution.processes]
    assert all(0 < process.until_first_job_s <= process.wall_s for process in execution.processes)
    assert {"base", "write", "digest", "read"} == execution.phases_s.keys()


def test_an_unchanged_rerun_starts_no_process(bench: Bench) -> None:
    """Everything is there: all of it is reused, with the same answers."""
    first = bench.run()
    second = bench.run()

    assert () == second.processes
    assert 12 == len(bench.logged("begin"))
    assert all(outcome.reused for outcome in (*second.writes.values(), *second.reads.values()))
    assert [o.directory for o in first.reads.values()] == [o.directory for o in second.reads.values()]


def test_a_case_more_runs_alone(bench: Bench) -> None:
    """What was there is reused, what is new is done."""
    bench.run(cases=["one"])
    execution = bench.run(cases=["one", "two"])

    assert {"two@r1", "two@r2"} == {name for name, outcome in execution.writes.items() if not outcome.reused}


def test_a_process_is_told_its_stack_and_a_read_its_dialect(bench: Bench) -> None:
    """Each cell's batches name the cell's own stack, and the reads in them the dialect that was planned."""
    bench.run(cells=["r1", JAX], dialect="swapped")
    batches = [codec.read_json(Batch, path) for path in bench.out.glob("runs/*/batches/*.json")]
    assert {("r1", "torch_peft"), (JAX, "jax_stacked")} == {(batch.cell, batch.stack) for batch in batches}
    assert {"swapped"} == {read.dialect for batch in batches for read in batch.reads}


def test_an_edit_of_one_stack_leaves_what_the_other_did(bench: Bench) -> None:
    """Its writes are reused, and its reads of its own; what the edited stack wrote or read is done anew."""
    bench.run(cells=["r1", JAX], cases=["one"])
    edited = bench.code._replace(work_digests={**bench.code.work_digests, "jax_stacked": "edited"})
    execution = bench.run(cells=["r1", JAX], cases=["one"], code=edited)
    assert {"one@r1"} == {name for name, outcome in execution.writes.items() if outcome.reused}
    # The fake worker writes the same bytes again, so what reads them in the other stack is what it was.
    assert {"one@r1>merged>r1", "one@jax>merged>r1"} == {n for n, o in execution.reads.items() if o.reused}


def damage(written: Mapping[str, Outcome]) -> None:
    """Change one byte of what r1 wrote."""
    directory = written["one@r1"].directory
    assert directory is not None
    file = directory / "merged" / "weights.bin"
    file.write_bytes(file.read_bytes().replace(b"base", b"bose"))


def test_damage_between_write_and_read_is_read(bench: Bench) -> None:
    """The reads of a damaged artifact see the damage, those of others do not, and the files are named."""
    execution = bench.run(after_writes=damage)

    assert ("merged/weights.bin",) == execution.writes["one@r1"].changed
    assert () == execution.writes["one@r2"].changed
    seen = {name: (o.directory / "seen.bin").read_bytes()[:4] for name, o in execution.reads.items() if o.directory}
    assert {"one@r1>merged>r1", "one@r1>merged>r2"} == {name for name, start in seen.items() if start == b"bose"}


def test_damage_after_a_good_run_is_read_again(bench: Bench) -> None:
    """Reads of the whole artifact are not reused for the damaged one; all others are."""
    bench.run()
    execution = bench.run(after_writes=damage)

    assert all(outcome.reused for outcome in execution.writes.values())
    assert {"one@r1>merged>r1", "one@r1>merged>r2"} == {n for n, o in execution.reads.items() if not o.reused}


def test_changed_observations_are_made_again(bench: Bench) -> None:
    """A read's files that were changed after it are not believed."""
    first = bench.run(["r1"], ["one"])
    directory = first.reads["one@r1>merged>r1"].directory
    assert directory is not None
    (directory / "seen.bin").write_bytes(b"nonsense")

    second = bench.run(["r1"], ["one"])

    assert not second.reads["one@r1>merged>r1"].reused
    assert b"base" == (directory / "seen.bin").read_bytes()[:4]


@pytest.mark.parametrize("text", ["", "{", '{"job": "x", "surprise": 1}'], ids=["empty", "cut", "unknown key"])
def test_an_artifact_without_a_readable_answer_is_made_again(bench: Bench, text: str) -> None:
    """What cannot be read as an answer does not count as one."""
    first = bench.run(["r1"], ["one"])
    directory = first.writes["one@r1"].directory
    assert directory is not None
    (directory / "answer.json").write_text(text)

    second = bench.run(["r1"], ["one"])

    assert not second.writes["one@r1"].reused
    assert "one@r1" == read_answer(directory).job


def test_a_changed_base_is_written_again(bench: Bench) -> None:
    """A base follows from its seed: it is mended, and so nothing is trained again."""
    bench.run(["r1"], ["one"])
    (base,) = (bench.out / "bases").glob("*/checkpoint/base.bin")
    base.write_bytes(b"bose")

    second = bench.run(["r1"], ["one"])

    assert b"base" == base.read_bytes()
    assert second.writes["one@r1"].reused


def test_a_link_in_a_written_artifact_is_refused(bench: Bench) -> None:
    """Somebody puts a link where a file was: its write is an error, and so are its reads."""

    def link(written: Mapping[str, Outcome]) -> None:
        directory = written["one@r1"].directory
        assert directory is not None
        (directory / "elsewhere").symlink_to("/etc/hostname")

    execution = bench.run(["r1"], ["one"], after_writes=link)

    assert "an artifact holds files and folders only" in execution.writes["one@r1"].error
    assert execution.reads["one@r1>merged>r1"].error.startswith("not written: ")


def test_a_write_that_crashed_is_not_read(bench: Bench) -> None:
    """An answer with a crash is an artifact, kept and reused; its reads say that there is nothing to read."""
    for reused in (False, True):
        execution = bench.run(orders={"one@r1": "crash"})
        crash = execution.writes["one@r1"].answer
        assert crash is not None and crash.crash is not None
        assert reused == execution.writes["one@r1"].reused
        message = "not written: merge: ValueError: no"
        assert {"one@r1>merged>r1": message, "one@r1>merged>r2": message} == errors(execution.reads)


def test_a_cell_that_was_not_built_takes_down_its_own_jobs_alone(bench: Bench) -> None:
    """Its writes, its reads, and the reads of what it did not write are errors; the others are done."""
    execution = bench.run(built=["r2"])

    assert {"one@r1", "two@r1"} == errors(execution.writes).keys()
    assert {"one@r2>merged>r2", "two@r2>merged>r2"} == execution.reads.keys() - errors(execution.reads).keys()
    assert "the cell r1 was not built" == execution.writes["one@r1"].error


def test_progress_is_told_in_order(bench: Bench) -> None:
    """Each phase starts, tells its process and jobs, and finishes."""

    class Listing(Silence):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def phase_started(self, phase: Phase, num_jobs: int, num_reused: int) -> None:
            self.lines.append(f"{phase}: {num_jobs}, {num_reused} reused")

        def process_started(self, phase: Phase, cell: str, num_jobs: int) -> None:
            self.lines.append(f"{cell} starts with {num_jobs}")

        def job_started(self, phase: Phase, cell: str, job: str) -> None:
            self.lines.append(f"{job} begins")

        def job_finished(self, phase: Phase, cell: str, job: str, error: str) -> None:
            self.lines.append(f"{job} ends {error}".strip())

        def phase_finished(self, phase: Phase, duration_s: float) -> None:
            self.lines.append(f"{phase} over")

    listing = Listing()
    bench.run(["r1"], ["one"], progress=listing)

    expected = [
        *("write: 1, 0 reused", "r1 starts with 1", "one@r1 begins", "one@r1 ends", "write over"),
        *("read: 1, 0 reused", "r1 starts with 1", "one@r1>merged>r1 begins", "one@r1>merged>r1 ends", "read over"),
    ]
    assert expected == listing.lines


def test_two_runs_at_once_do_no_harm(bench: Bench) -> None:
    """Two engines in one folder both end well, on the same artifacts, each of them whole."""
    engines = [bench.start(), bench.start()]
    for engine in engines:
        output, complaint = engine.communicate(timeout=60)
        assert (0, "") == (engine.returncode, complaint)
        assert {""} == {outcome["error"] for outcome in outcomes_of(output).values()}
    assert 12 == len(bench.done())
    assert [] == list(bench.out.rglob("*.partial-*"))


def test_a_cell_that_is_alone_has_both_slots(bench: Bench) -> None:
    """Its jobs are shared by two processes where there are many; each job is done once, and every outcome is there."""
    names = [f"case{number}" for number in range(25)]
    execution = bench.run(["r1"], names)
    writers = [each for each in execution.processes if each.phase == "write"]
    assert [12, 13] == sorted(each.num_jobs for each in writers)
    assert 25 == len(execution.writes) == len(execution.reads)
    assert not any(outcome.error for outcome in (*execution.writes.values(), *execution.reads.values()))
    assert 50 == len(bench.done())


def test_few_jobs_are_not_worth_a_second_process(bench: Bench) -> None:
    """Nor is there a slot for one where two cells work."""
    assert 1 == len([each for each in bench.run(["r1"], ["one", "two"]).processes if each.phase == "write"])
    names = [f"case{number}" for number in range(25)]
    assert 2 == len([each for each in bench.run(["r1", "r2"], names).processes if each.phase == "write"])
