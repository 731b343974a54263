"""`deltaproof run` as a process among others: killed in the middle, and two of it at once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.artifacts import changed_files, read_answer
from tests.end_to_end.conftest import ROW, NewOut, report_of, routes, run_command, start, verdicts

pytestmark = pytest.mark.registry

CASES = ("qwen3-float32-loop", "llama-float32-loop")
DEADLINE_S = 120.0


def test_killed_in_training_and_started_again(new_out: NewOut) -> None:
    """After kill -9 the next run finishes, trains nothing again that was finished, and leaves nothing half-written."""
    out = new_out()
    writes = {f"{case}@{ROW}" for case in CASES}
    reads = {routes(case)[1] for case in CASES}
    command = run_command(out, *sorted(writes | reads))
    process = start(command)
    try:
        wait_until(lambda: len(partials(out)) == len(artifacts(out)) == 1, process)
    finally:
        process.kill()
        process.communicate()
    [(finished, times)] = artifacts(out).items()
    assert finished in writes
    assert [] == list(out.glob("runs/*/report.*"))

    process = start(command)
    output, complaint = process.communicate()

    assert 0 == process.returncode, complaint
    report = report_of(output)
    assert dict.fromkeys(writes | reads, "PASS") == verdicts(report)
    assert {finished} == {result.id for result in report.results if result.reused}
    after = artifacts(out)
    assert writes | reads == after.keys()
    assert times == after[finished]
    assert [] == partials(out)


def test_two_runs_at_once(new_out: NewOut) -> None:
    """Two runs of the same results in one output folder both finish, and say the same."""
    out = new_out()
    write, (_, merged) = f"{CASES[0]}@{ROW}", routes(CASES[0])
    command = run_command(out, write, merged)

    processes = [start(command) for _ in range(2)]
    ended = [process.communicate() for process in processes]

    assert [0, 0] == [process.returncode for process in processes], [complaint for _, complaint in ended]
    first, second = (report_of(output) for output, _ in ended)
    assert {write: "PASS", merged: "PASS"} == verdicts(first) == verdicts(second)
    assert first.run_id != second.run_id
    assert {write, merged} == artifacts(out).keys()
    assert [] == partials(out)


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Return when `condition` holds; fail if `process` ends before, or takes too long."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def artifacts(out: Path) -> dict[str, dict[str, int]]:
    """Job to its files' times of change, for all that lies under its final name. All of it must be whole."""
    found = {}
    for directory in [*out.glob("writes/*"), *out.glob("reads/*")]:
        if ".partial-" not in directory.name:
            answer = read_answer(directory)
            assert () == changed_files(directory, answer)
            found[answer.job] = {entry.path: (directory / entry.path).stat().st_mtime_ns for entry in answer.files}
    return found


def partials(out: Path) -> list[Path]:
    """Artifacts that are being made, or were when their maker died."""
    return [path for folder in ("bases", "writes", "reads", "code") for path in out.glob(f"{folder}/*.partial-*")]
