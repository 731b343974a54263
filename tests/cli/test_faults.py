"""`deltaproof faults`, with the workflow's place taken: what it is asked, what it leaves, how a mistake is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import EnvironmentBuildError, ExitCode
from harness.faults.workflow import FaultsRequest
from harness.records.faults import KillMatrix
from reports.faults import html, json_document, markdown
from tests.cli.conftest import Said
from tests.reports.faults.builders import MATRICES

Command = Callable[..., Said]
MATRIX = MATRICES["bad"]


@dataclass
class Workflow:
    """Stands for the workflow."""

    answer: KillMatrix | BaseException = MATRIX
    asked: list[FaultsRequest] = field(default_factory=list)

    def __call__(self, request: FaultsRequest, _catalogue: object, **_options: object) -> KillMatrix:
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> Workflow:
    """The workflow's place, taken."""
    taken = Workflow()
    monkeypatch.setattr("harness.cli.faults.run_faults", taken)
    return taken


def test_what_is_asked_reaches_the_workflow(deltaproof: Command, workflow: Workflow) -> None:
    """Expression, seed, clean runs, folder, and the command as typed."""
    deltaproof("faults", "-k", "expert and float32", "--seed", "4", "--controls", "9", "--out", "o")
    deltaproof("faults")
    narrow, wide = workflow.asked
    assert ("expert and float32", 4, 9, Path("o")) == (narrow.expression, narrow.seed, narrow.num_controls, narrow.out)
    assert "deltaproof faults -k 'expert and float32' --seed 4 --controls 9 --out o" == narrow.command
    assert ("", 0, 0, Path("reports/out")) == (wide.expression, wide.seed, wide.num_controls, wide.out)


@pytest.mark.usefixtures("workflow")
def test_documents_are_left_in_the_runs_folder(deltaproof: Command) -> None:
    """JSON alone on stdout if it is asked for, word for word what is in the file; the exit code is the matrix's."""
    said = deltaproof("faults", "--json", "--out", "o")
    folder = Path("o/runs") / MATRIX.run_id
    assert (ExitCode.FAILED, json_document.render(MATRIX)) == (said.code, said.out)
    assert said.out == (folder / "faults.json").read_text("utf-8")
    assert markdown.render(MATRIX) == (folder / "faults.md").read_text("utf-8")
    assert f"report: {folder}/faults.html" in said.err
    assert "✕ 1 of 6 faults caught and named" in said.err
    assert "" == deltaproof("faults", "--out", "o").out


def test_the_page_is_written_where_it_was_asked_for(deltaproof: Command, workflow: Workflow) -> None:
    """Also in a folder that is not there yet; exit 0 where all is good."""
    workflow.answer = MATRICES["good"]
    said = deltaproof("faults", "--html", "deep/er/page.html")
    assert (ExitCode.OK, "") == (said.code, said.out)
    assert "page: deep/er/page.html" in said.err
    assert html.render(MATRICES["good"]) == Path("deep/er/page.html").read_text("utf-8")
    assert ["page.html"] == [path.name for path in Path("deep/er").iterdir()]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--seed", "x"), ["--seed", "integer"], id="no number"),
        pytest.param(("--controls", "-1"), ["--controls", "0"], id="fewer than none"),
        pytest.param(("--html", "folder"), ["--html folder", "is a directory"], id="a page that is a folder"),
        pytest.param(("--html", "taken/page.html"), ["--html taken/page.html", "cannot be written"], id="below a file"),
        pytest.param(("--html", "/proc/page.html"), ["--html /proc/page.html", "cannot be written"], id="read-only"),
        pytest.param(("--html", "/proc/no/page.html"), ["cannot be written"], id="a folder that cannot be made"),
    ],
)
def test_a_mistake_is_one_line_before_the_work(
    deltaproof: Command, workflow: Workflow, arguments: tuple[str, ...], words: list[str]
) -> None:
    """Exit 2, on stderr, with the option; nothing was begun."""
    Path("folder").mkdir()
    Path("taken").write_text("a file")
    said = deltaproof("faults", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert said.err.startswith("deltaproof: ")
    for word in words:
        assert word in said.err
    assert [] == workflow.asked
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("-k", "nobody"), ["no fault matches -k", "a part of a name, such as", "got nobody"], id="none"),
        pytest.param(("-k", "expert and"), ["-k cannot be read", "expert and"], id="half an expression"),
        pytest.param(("-k", "one_expert_missed", "--out", "taken"), ["taken"], id="a file for a folder"),
        pytest.param(("-k", "one_expert_missed", "--out", "/proc/out"), ["/proc/out"], id="a read-only place"),
    ],
)
def test_a_mistake_that_the_real_workflow_finds_is_one_line(
    deltaproof: Command, arguments: tuple[str, ...], words: list[str]
) -> None:
    """Exit 2, before an environment is built."""
    Path("taken").write_text("a file")
    said = deltaproof("faults", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    for word in words:
        assert word in said.err
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        pytest.param(KeyboardInterrupt(), ExitCode.INTERRUPTED, "what was finished is kept", id="interrupted"),
        pytest.param(
            EnvironmentBuildError("cannot be built", where="the row r1", log="uv's words"), ExitCode.ENVIRONMENT,
            "the row r1: cannot be built\nuv's words", id="a row",
        ),
    ],
)  # fmt: skip
def test_what_ends_it_early_leaves_no_document(
    deltaproof: Command, workflow: Workflow, answer: BaseException, code: int, words: str
) -> None:
    """Half a matrix is none."""
    workflow.answer = answer
    said = deltaproof("faults", "--json", "--html", "page.html")
    assert (code, "") == (said.code, said.out)
    assert words in said.err
    assert not Path("page.html").exists()
    assert not Path("reports").exists()
