"""`deltaproof calibrate`, with the workflow's place taken: where the table goes, and how a mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.calibration.workflow import Calibration
from harness.errors import ExitCode
from tests.cli.conftest import Said

Command = Callable[..., Said]
FOUND = Calibration(gates=(), num_clean=3, num_struck=2, text="the = 'table'\n", duration_s=1.0)


@dataclass
class Workflow:
    """Stands for the workflow."""

    error: BaseException | None = None
    asked: list[tuple[Path, int]] = field(default_factory=list)

    def __call__(self, out: Path, _catalogue: object, *, num_seeds: int, **_options: object) -> Calibration:
        self.asked.append((out, num_seeds))
        if self.error is not None:
            raise self.error
        return FOUND


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """The workflow's place, taken."""
    taken = Workflow()
    monkeypatch.setattr("harness.cli.calibrate.run_calibration", taken)
    return taken


def test_the_table_goes_to_stdout_or_into_a_file(deltaproof: Command, workflow: Workflow) -> None:
    """Alone there; and the file that judges is named where another was written."""
    said = deltaproof("calibrate", "--seeds", "2", "--out", "o")
    assert (ExitCode.OK, FOUND.text, [(Path("o"), 2)]) == (said.code, said.out, workflow.asked)
    said = deltaproof("calibrate", "--file", "new/gates.toml")
    assert (ExitCode.OK, "") == (said.code, said.out)
    assert FOUND.text == Path("new/gates.toml").read_text()
    assert "the one that judges is" in said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--seeds", "0"), ["--seeds", "1"], id="no seed"),
        pytest.param(("--seeds", "x"), ["--seeds", "integer"], id="no number"),
        pytest.param(("--file", "folder"), ["--file folder", "is a directory"], id="a folder"),
        pytest.param(
            ("--file", "taken/gates.toml"), ["--file taken/gates.toml", "cannot be written"], id="below a file"
        ),
        pytest.param(("--file", "/proc/gates.toml"), ["--file /proc/gates.toml", "cannot be written"], id="read-only"),
    ],
)
def test_a_mistake_is_one_line_before_the_work(
    deltaproof: Command, workflow: Workflow, arguments: tuple[str, ...], words: list[str]
) -> None:
    """Exit 2, on stderr, with the option; twenty minutes of measuring were not begun."""
    Path("folder").mkdir()
    Path("taken").write_text("a file")
    said = deltaproof("calibrate", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    for word in words:
        assert word in said.err
    assert [] == workflow.asked


@pytest.mark.parametrize("place", ["taken", "/proc/out"])
def test_an_output_folder_that_cannot_be_is_one_line(deltaproof: Command, place: str) -> None:
    """Of the real workflow: a file, and a read-only place."""
    Path("taken").write_text("a file")
    said = deltaproof("calibrate", "--out", place)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert place in said.err


def test_an_interruption_is_130_and_leaves_no_table(deltaproof: Command, workflow: Workflow) -> None:
    """What was finished is kept, and said to be."""
    workflow.error = KeyboardInterrupt()
    said = deltaproof("calibrate", "--file", "gates.toml")
    assert (ExitCode.INTERRUPTED, "") == (said.code, said.out)
    assert "what was finished is kept" in said.err
    assert not Path("gates.toml").exists()
