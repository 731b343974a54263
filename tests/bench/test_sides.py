"""The line between the driver and a measured process."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.sides import Side, UnmeasuredError, side_environment
from bench.work import Decode, Done, Drop, Measure, Prepare, Step
from harness.cells.variables import cell_environment

PROMPTS = ((5, 6), (7, 8))


def decoding(checkpoint: str = "there") -> Prepare:
    """An order of which nothing is loaded."""
    return Prepare(name="decoding", work=Decode(checkpoint=checkpoint, prompts=PROMPTS, num_new=2))


def test_work_is_done_as_often_as_it_takes_and_comes_back_with_what_came_out(side: Side) -> None:
    """One time is measured without a duration, many with one, and prints of a library are not taken for answers."""
    assert Done() == side.ask(decoding())

    once = side.ask(Measure(name="decoding"))
    assert 1 == len(once.durations_s)
    assert [list(row) for row in PROMPTS] == once.result
    again = side.ask(Measure(name="decoding", at_least_s=0.01))
    assert len(again.durations_s) > 1
    assert sum(again.durations_s) >= 0.01


def test_several_works_are_kept_by_name(side: Side) -> None:
    """Each is found again, and what was dropped is not."""
    side.ask(decoding())
    side.ask(Prepare(name="step", work=Step(checkpoint="2.5", sequences=PROMPTS, modules=())))
    assert 2.5 == side.ask(Measure(name="step")).result
    assert [list(row) for row in PROMPTS] == side.ask(Measure(name="decoding")).result

    side.ask(Drop(name="step"))
    with pytest.raises(UnmeasuredError, match="KeyError: 'step'"):
        side.ask(Measure(name="step"))
    assert [list(row) for row in PROMPTS] == side.ask(Measure(name="decoding")).result


def test_an_error_is_told_and_the_process_goes_on(side: Side) -> None:
    """Its traceback is the reason; the next order is obeyed."""
    with pytest.raises(UnmeasuredError, match="FileNotFoundError: nowhere"):
        side.ask(decoding("nowhere"))
    assert Done() == side.ask(decoding())


def test_of_a_process_that_has_ended_the_last_words_are_told(side: Side) -> None:
    """At once and whenever it is asked again."""
    side.ask(decoding("fatal"))
    for _ in range(2):
        with pytest.raises(UnmeasuredError, match=r"has ended \(exit 9\):\n(?s:.*)out of memory"):
            side.ask(Measure(name="decoding"))


@pytest.mark.parametrize(("num_threads", "eigen"), [(1, "false"), (6, "true")])
def test_a_measured_process_has_its_threads_and_xla_as_it_is_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_threads: int, eigen: str
) -> None:
    """Neither a cell's flags nor its threads are passed on, but a user's flags are; nothing compiled is kept."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=x")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "somewhere")
    variables = side_environment(scratch=tmp_path, code=tmp_path, num_threads=num_threads)
    assert [f"--xla_cpu_multi_thread_eigen={eigen}", "--xla_dump_to=x"] == variables["XLA_FLAGS"].split()
    assert {str(num_threads)} == {variables[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")}
    assert "JAX_COMPILATION_CACHE_DIR" not in variables

    kept = set(cell_environment(scratch=tmp_path, code=tmp_path)) - {"JAX_COMPILATION_CACHE_DIR"}
    assert kept <= set(variables)
