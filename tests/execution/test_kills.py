"""kill -9 at any moment: the next run finishes, repeats nothing that was finished, and reports nothing half-written."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.execution.conftest import Bench, NewBench, outcomes_of

CELLS, CASES = ("r1", "r2"), ("one", "two")
NUM_INSTANTS = 30
SIDE_BY_SIDE = 3


def finish(bench: Bench, cells: tuple[str, ...] = CELLS, cases: tuple[str, ...] = CASES) -> None:
    """Run again after a kill, and check everything that is promised."""
    before = bench.done()  # reads every answer and hashes every file
    begun = len(bench.logged("begin"))

    engine = bench.start(cells, cases)
    output, complaint = engine.communicate(timeout=60)

    assert (0, "") == (engine.returncode, complaint)
    outcomes = outcomes_of(output)
    assert {""} == {outcome["error"] for outcome in outcomes.values()}
    assert [] == [job for job in bench.logged("begin")[begun:] if job in before]
    assert [] == [job for job in before if not outcomes[job]["reused"]]
    after = bench.done()
    assert outcomes.keys() == after.keys()
    assert all(Path(outcome["directory"]) == after[job] for job, outcome in outcomes.items())


def test_killed_at_random_instants(new_bench: NewBench) -> None:
    """30 engines are killed at instants spread over a whole run; each time, the next run ends well."""
    started = time.monotonic()
    finish(new_bench())
    whole_s = SIDE_BY_SIDE * (time.monotonic() - started)  # they share the machine, so a run may take longer
    seed = random.SystemRandom().randrange(2**32)

    def killed_and_finished(number: int) -> int:
        draw = random.Random(f"{seed} {number}")
        # One instant in each of 30 equal parts of a run, so that no part is left out; earlier if it had ended by then.
        instant_s = whole_s * (number + draw.random()) / NUM_INSTANTS
        while True:
            bench = new_bench()
            engine = bench.start(CELLS, CASES)
            try:
                engine.communicate(timeout=instant_s)
            except subprocess.TimeoutExpired:
                break
            instant_s *= draw.random()
        engine.kill()
        engine.communicate()
        num_done = len(bench.done())
        try:
            finish(bench)
        except AssertionError as error:
            raise AssertionError(f"instant {number}, seed {seed}, {instant_s:.3f} s") from error
        bench.wait_for_workers()
        return num_done

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        done = list(pool.map(killed_and_finished, range(NUM_INSTANTS)))
    assert min(done) < max(done)


def test_killed_at_each_write_and_rename_of_the_engine(new_bench: NewBench) -> None:
    """The engine dies at its first, second, … write, rename, sync, removal and start of a process, to the last one."""

    def killed_and_finished(number: int) -> bool:
        bench = new_bench()
        engine = bench.start(("r1",), ("one",), kill_at=number)
        engine.communicate(timeout=60)
        if engine.returncode == 0:
            return False
        assert -signal.SIGKILL == engine.returncode
        finish(bench, ("r1",), ("one",))
        bench.wait_for_workers()
        return True

    assert count_until_whole(killed_and_finished) > 30


def test_killed_at_each_write_and_rename_of_a_worker(new_bench: NewBench) -> None:
    """A worker dies at its first, second, … write: that job is an error of this run, and the next run ends well."""

    def killed_and_finished(number: int) -> bool:
        bench = new_bench()
        claim = bench.out.with_name("killed")
        engine = bench.start(("r1",), ("one",), extra={"FAKE_KILL_AT": f"{number}:{claim}"})
        output, complaint = engine.communicate(timeout=60)
        assert (0, "") == (engine.returncode, complaint)
        if not claim.exists():
            return False
        assert all((name in bench.done()) == (not each["error"]) for name, each in outcomes_of(output).items())
        finish(bench, ("r1",), ("one",))
        return True

    assert count_until_whole(killed_and_finished) > 10


def count_until_whole(killed_and_finished: Callable[[int], bool]) -> int:
    """Kill at point 1, 2, … until a run comes to its end; how many points there were."""
    first = 1
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        while True:
            numbers = range(first, first + 2 * SIDE_BY_SIDE)
            killed = list(pool.map(killed_and_finished, numbers))
            if not all(killed):
                return first - 1 + killed.index(False)
            first = numbers.stop


def test_children_die_with_the_engine(bench: Bench) -> None:
    """Neither a hung worker nor what it started outlives a killed engine."""
    engine = bench.start(("r1",), ("one", "two"), orders={"two@r1": "start a child and hang"})
    log = bench.out / "runs" / "run-1" / "logs" / "write-r1-1.log"
    assert engine.stdout is not None
    for line in engine.stdout:
        if line == "started two@r1\n":
            break
    deadline = time.monotonic() + 20
    while "child started" not in log.read_text():
        assert time.monotonic() < deadline
        assert engine.poll() is None
    engine.kill()
    engine.communicate()

    assert 2 == len(bench.logged("process"))
    bench.wait_for_workers()


def test_an_interrupt_ends_the_children_and_keeps_what_was_finished(bench: Bench) -> None:
    """Ctrl-C: exit 130, no process left, and the next run goes on from there."""
    engine = bench.start(("r1",), ("one", "two"), orders={"two@r1": "hang"})
    assert engine.stdout is not None
    for line in engine.stdout:
        if line == "started two@r1\n":
            break
    engine.send_signal(signal.SIGINT)
    _, complaint = engine.communicate(timeout=60)

    assert (130, "") == (engine.returncode, complaint)
    bench.wait_for_workers()
    assert ["one@r1"] == list(bench.done())
    finish(bench, ("r1",), ("one", "two"))
