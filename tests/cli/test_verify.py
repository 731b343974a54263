"""`deltaproof verify`, with the verifier's place taken: what it is asked, what is shown, what it exits with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console

from harness.cli.verify_progress import VerifyProgress
from harness.errors import ArtifactError, ExitCode
from harness.verify import native
from harness.verify.report import Verdict, VerifyReport
from reports.verification import html, json_document
from tests.cli.conftest import Said, Stream
from tests.reports.verification import builders

Command = Callable[..., Said]
ESCAPE = "\x1b"
DIRECTORIES = ("--base", "base", "--adapter", "adapter", "--merged", "my merged")
COMMAND = "deltaproof verify --base base --adapter adapter --merged 'my merged'"


class Asked(NamedTuple):
    """What the verifier was called with."""

    directories: tuple[Path | None, ...]
    num_threads: int | None


class Verifier:
    """Stands for `harness.verify.verify`: answers with a report, or fails, after some progress."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answer: VerifyReport | BaseException = builders.one_lost_expert()

    def __call__(
        self,
        base: Path,
        adapter: Path,
        merged: Path | None = None,
        *,
        num_threads: int | None,
        progress: VerifyProgress,
    ) -> VerifyReport:
        self.asked.append(Asked((base, adapter, merged), num_threads))
        play(progress)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def play(progress: VerifyProgress) -> None:
    """A gigabyte, read by four threads."""
    progress.started(4 << 28)
    threads = [threading.Thread(target=progress.advanced, args=(1 << 28,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture
def verifier(monkeypatch: pytest.MonkeyPatch) -> Verifier:
    """What the verb calls."""
    made = Verifier()
    monkeypatch.setattr("harness.verify.verifier.verify", made)
    return made


def test_what_is_asked_reaches_the_verifier(deltaproof: Command, verifier: Verifier) -> None:
    """Directories and threads; without --merged the adapter alone, without --jobs as many as there are."""
    deltaproof("verify", *DIRECTORIES, "--jobs", "3")
    deltaproof("verify", *DIRECTORIES[:4])
    assert [
        Asked((Path("base"), Path("adapter"), Path("my merged")), 3),
        Asked((Path("base"), Path("adapter"), None), None),
    ] == verifier.asked


@pytest.mark.parametrize("verdict", Verdict)
def test_the_exit_code_is_the_verdicts(deltaproof: Command, verifier: Verifier, verdict: Verdict) -> None:
    """0 for what holds, 3 for what cannot be told, 1 for the rest; the verdict is the first word."""
    verifier.answer = builders.report(verdict)
    said = deltaproof("verify", *DIRECTORIES)
    expected = {"CONTAINS": ExitCode.OK, "FITS": ExitCode.OK, "INCONCLUSIVE": ExitCode.INCONCLUSIVE}
    assert (expected.get(verdict, ExitCode.FAILED), "") == (said.code, said.out)
    assert said.err.startswith(f"{verdict}  ")
    assert said.err.endswith(f"{COMMAND}\n")


def test_json_is_the_document_and_alone_on_stdout(deltaproof: Command, verifier: Verifier) -> None:
    """Word for word what the view makes; people's text is on stderr all the same."""
    said = deltaproof("verify", *DIRECTORIES, "--json")
    assert isinstance(verifier.answer, VerifyReport)
    assert (ExitCode.FAILED, json_document.render(verifier.answer)) == (said.code, said.out)
    assert "PARTIAL" == json.loads(said.out)["verdict"]
    assert "delta_missing ×3" in said.err


def test_the_page_is_written_whole_and_replaces_an_older_one(deltaproof: Command, verifier: Verifier) -> None:
    """Where it was asked for, also in a folder that is not there yet; nothing else is left beside it."""
    for _ in range(2):
        said = deltaproof("verify", *DIRECTORIES, "--html", "out/page.html")
        assert ExitCode.FAILED == said.code
        assert "page: out/page.html" in said.err
    command = f"{COMMAND} --html out/page.html"
    assert isinstance(verifier.answer, VerifyReport)
    assert html.render(verifier.answer, command=command) == Path("out/page.html").read_text(encoding="utf-8")
    assert ["page.html"] == [path.name for path in Path("out").iterdir()]


def test_a_page_may_lie_beside_what_was_verified(deltaproof: Command, verifier: Verifier) -> None:
    """A page of an earlier verification is replaced there too."""
    Path("my merged").mkdir()
    for _ in range(2):
        assert ExitCode.FAILED == deltaproof("verify", *DIRECTORIES, "--html", "my merged/verify.html").code
    assert 2 == len(verifier.asked)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param("taken/page.html", "cannot be written", id="a file stands where a folder is needed"),
        pytest.param("folder", "is a directory", id="a folder"),
        pytest.param("my merged/model.safetensors", "is a file of what is to be verified", id="a file that is read"),
    ],
)
def test_a_page_that_cannot_be_written_is_told_before_the_work(
    deltaproof: Command, verifier: Verifier, place: str, words: str
) -> None:
    """One line and exit 2; nothing was read, and nothing was overwritten."""
    Path("taken").write_text("a file")
    for folder in ("folder", "my merged"):
        Path(folder).mkdir()
    Path("my merged/model.safetensors").write_text("weights")
    said = deltaproof("verify", *DIRECTORIES, "--html", place)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert words in said.err
    assert [] == verifier.asked
    assert "weights" == Path("my merged/model.safetensors").read_text()


def test_unreadable_input_is_one_line_and_no_page(deltaproof: Command, verifier: Verifier) -> None:
    """Exit 2, with what is wrong and where."""
    verifier.answer = ArtifactError("header is not JSON", where="base/model.safetensors")
    said = deltaproof("verify", *DIRECTORIES, "--json", "--html", "page.html")
    assert (ExitCode.USAGE, "") == (said.code, said.out)
    assert "deltaproof: base/model.safetensors: header is not JSON\n" == said.err
    assert not Path("page.html").exists()


def test_an_interruption_is_130(deltaproof: Command, verifier: Verifier) -> None:
    """Nothing is half-written, and nothing is said to be kept."""
    verifier.answer = KeyboardInterrupt()
    said = deltaproof("verify", *DIRECTORIES, "--json", "--html", "page.html")
    assert (ExitCode.INTERRUPTED, "", "interrupted: nothing was written\n") == said
    assert [] == list(Path().iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--adapter", "a"), "--base", id="no base"),
        pytest.param(("--base", "b"), "--adapter", id="no adapter"),
        pytest.param((*DIRECTORIES, "--jobs", "0"), "--jobs", id="no threads"),
        pytest.param((*DIRECTORIES, "--jobs", "many"), "--jobs", id="no number of threads"),
    ],
)
def test_a_mistake_is_one_line(deltaproof: Command, verifier: Verifier, arguments: tuple[str, ...], words: str) -> None:
    """Exit 2, before anything is read."""
    said = deltaproof("verify", *arguments)
    assert (ExitCode.USAGE, "", 1) == (said.code, said.out, len(said.err.strip().splitlines()))
    assert words in said.err
    assert [] == verifier.asked


@pytest.mark.usefixtures("verifier")
def test_colours_and_bars_are_for_terminals(deltaproof: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, and where colours are unwanted, the same words come without any code."""
    plain = deltaproof("verify", *DIRECTORIES).err
    assert ESCAPE not in plain
    assert "comparing" not in plain
    from harness.cli.console import stderr

    stderr.cache_clear()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[1-3]", deltaproof("verify", *DIRECTORIES, terminal=True).err)
    stderr.cache_clear()
    monkeypatch.delenv("NO_COLOR")
    assert "\x1b[1;31mPARTIAL" in deltaproof("verify", *DIRECTORIES, terminal=True).err


@pytest.mark.parametrize("terminal", [True, False])
def test_the_bar_shows_bytes_at_a_terminal(terminal: bool) -> None:
    """Percent, bytes per second, time taken and time left; elsewhere not one character."""
    stream = Stream(terminal=terminal)
    with VerifyProgress(Console(file=stream, width=120)) as progress:
        play(progress)
        progress.display.refresh()
        task = progress.display.tasks[0]
        assert (4 << 28, 4 << 28) == (task.total, task.completed)
    said = stream.getvalue()
    assert terminal == ("100%" in said and "comparing" in said and "/s" in said and "0:00:00" in said)
    assert terminal or said == ""


def test_who_waits_for_the_compiler_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It happens once on a machine and takes seconds; afterwards the bar says what it always says."""
    monkeypatch.setenv("DELTAPROOF_CACHE", str(tmp_path))
    said: list[str] = []
    with VerifyProgress(Console(file=Stream(terminal=True), width=120)) as progress:
        progress.started(1)
        doing = progress.doing
        monkeypatch.setattr(progress, "doing", lambda what: (said.append(what), doing(what)))
        monkeypatch.setattr(native, "_compile", lambda name: b"code")
        monkeypatch.setattr(native, "_linked", lambda name, code: len)
        native._load("tally_16_16_BF16")
        assert [native.COMPILING, "comparing"] == said
        native._load("tally_16_16_BF16")
        assert len(said) == 2
        assert progress.display.tasks[0].description == "comparing"


def test_progress_before_the_size_is_known_is_no_error() -> None:
    """A thread may be early."""
    with VerifyProgress(Console(file=Stream(terminal=False))) as progress:
        progress.advanced(1)


def test_other_verbs_do_not_wait_for_the_compiler() -> None:
    """Asking for help imports neither numba nor the verifier."""
    code = "import sys, harness.cli.main; print([n for n in ('numba', 'harness.verify', 'jinja2') if n in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    imported: list[Any] = json.loads(done.stdout.replace("'", '"'))
    assert [] == [name for name in imported if name != "jinja2"]
