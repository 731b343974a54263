"""Whole processes: how long they took, how much memory, and what is said of those that break down."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.processes import Ended, launch
from bench.sides import UnmeasuredError

MIB = 2**-10
"""In GiB."""
OWN = 400 * 2**20


def python(code: str, folder: Path) -> Ended:
    """What a process that runs `code` took."""
    return launch([sys.executable, "-c", code], variables=dict(os.environ), folder=folder, name="python")


def test_the_peak_is_the_processes_own(tmp_path: Path) -> None:
    """What it gave back before it ended counts, and what the process that asks for it holds does not."""
    held = bytearray(b"x") * OWN
    little = python("pass", tmp_path)
    much = python("held = bytearray(b'x') * (200 * 2**20); del held", tmp_path)
    assert len(held) == OWN
    assert 1 * MIB < little.peak_gib < 100 * MIB
    assert 190 * MIB < much.peak_gib - little.peak_gib < 230 * MIB


def test_the_time_is_that_of_the_whole_process_and_what_it_prints_is_kept(tmp_path: Path) -> None:
    """Until its exit, not until its last word."""
    ended = python("import time; print('done', flush=True); time.sleep(0.3)", tmp_path)
    assert "done\n" == ended.stdout
    assert 0.3 < ended.wall_s < 30


def test_processor_time_is_that_of_work_and_not_of_waiting(tmp_path: Path) -> None:
    """In all threads together."""
    waiting = python("import time; time.sleep(0.6)", tmp_path)
    working = python("import time\nwhile time.process_time() < 0.6: pass", tmp_path)
    assert 0 < waiting.processor_s < waiting.wall_s - 0.5
    assert 0.3 + waiting.processor_s < working.processor_s


def test_variables_are_those_that_were_given(tmp_path: Path) -> None:
    """And no others."""
    command = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    ended = launch(command, variables={"ONE": "1", "LC_CTYPE": "C.UTF-8"}, folder=tmp_path, name="few")
    assert "['LC_CTYPE', 'ONE']\n" == ended.stdout


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("import sys; sys.exit('no space left')", "exit code 1\nno space left", id="error"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "exit code -9\n", id="killed"),
    ],
)
def test_a_process_that_breaks_down_is_not_measured(code: str, words: str, tmp_path: Path) -> None:
    """Its name, its exit code and its last words are told."""
    with pytest.raises(UnmeasuredError, match=f"^python: {words}"):
        python(code, tmp_path)


def test_a_program_that_is_not_there_is_not_measured(tmp_path: Path) -> None:
    """Even after another that was: its report is not taken for this one's."""
    launch([sys.executable, "-c", "pass"], variables=dict(os.environ), folder=tmp_path, name="same")
    with pytest.raises(UnmeasuredError, match="No such file"):
        launch([str(tmp_path / "missing")], variables=dict(os.environ), folder=tmp_path, name="same")
