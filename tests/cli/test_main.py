"""What holds for every verb: exit codes, one line for a mistake, data on stdout and words on stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main as cli
from harness.cli.console import stderr
from harness.errors import EnvironmentBuildError, ExitCode, StorageError
from tests.cli.conftest import Said

Command = Callable[..., Said]
ESCAPE = "\x1b["
VERBS = ("verify", "run", "faults", "calibrate", "plan", "compare", "doctor", "report")


def test_without_arguments_it_lists_the_verbs(deltaproof: Command) -> None:
    """Help, and exit 2: nothing was asked for. With --help the same, and exit 0."""
    for arguments, code in (((), 2), (("--help",), 0)):
        said = deltaproof(*arguments)
        assert code == said.code
        for verb in VERBS:
            assert verb in said.out + said.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(deltaproof: Command, verb: str) -> None:
    """`--help` of each is exit 0 and text, without boxes or colours."""
    said = deltaproof(verb, "--help")
    assert (0, True) == (said.code, len(said.out) > 100)
    assert ESCAPE not in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("plann",), ["plann", "--help"], id="unknown verb"),
        pytest.param(("plan", "--quik"), ["--quik", "--help"], id="unknown option"),
        pytest.param(("compare", "one"), ["Missing argument 'later'. `"], id="a missing argument"),
        pytest.param(("report", "pdf"), ["pdf"], id="unknown view"),
        pytest.param(("plan", "--cells", "r9"), ["unknown cell", "r1, r2, r3, r4, newest", "'r9'"], id="unknown row"),
        pytest.param(
            ("run", "--cells", "r1,r9"), ["unknown cell", "r1, r2, r3, r4, newest"], id="unknown row of a run"
        ),
        pytest.param(("plan", "-k", "a and"), ["-k cannot be read", "a and"], id="bad -k"),
        pytest.param(("run", "-k", "(a"), ["-k cannot be read", "(a"], id="bad -k of a run"),
        pytest.param(
            ("run", "--here", "--cells", "r1"), ["--here and --cells exclude each other"], id="here and cells"
        ),
        pytest.param(("report", "html"), ["no such run", "none yet"], id="no run"),
        pytest.param(("report", "json", "nothing"), ["no such run", "got nothing"], id="a run that is not there"),
        pytest.param(("compare", "one", "two"), ["no such run", "got one"], id="runs that are not there"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(deltaproof: Command, arguments: tuple[str, ...], words: list[str]) -> None:
    """It says what is wrong and what there is, on stderr, without a traceback; nothing was built for it."""
    said = deltaproof(*arguments)
    assert (ExitCode.USAGE, "") == (said.code, said.out)
    assert 1 == len(said.err.strip().splitlines())
    assert said.err.startswith("deltaproof: ")
    for word in words:
        assert word in said.err
    assert not Path("reports/out/cells").exists() or not list(Path("reports/out/cells").iterdir())


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(StorageError("cannot be written", where="/x"), 2, ["/x: cannot be written"], id="storage"),
        pytest.param(
            EnvironmentBuildError("no solution", where="r1", log="uv's words"), 4, ["r1: no solution", "uv's words"],
            id="environment",
        ),
        pytest.param(KeyboardInterrupt(), 130, ["interrupted", "goes on from there"], id="interrupted"),
        pytest.param(BrokenPipeError(), 0, [""], id="nobody reads any more"),
    ],
)  # fmt: skip
def test_what_ends_a_verb_is_an_exit_code(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: list[str]
) -> None:
    """Errors that we can explain are a line and their code; an interruption is 130."""

    def fail(**_options: object) -> None:
        raise error

    monkeypatch.setattr(cli, "make_app", lambda _: fail)
    monkeypatch.setattr(cli.os, "dup2", lambda *_descriptors: None)
    monkeypatch.setattr("tests.cli.conftest.Stream.fileno", lambda _stream: 1, raising=False)
    said = deltaproof()
    assert (code, "") == (said.code, said.out)
    for word in words:
        assert word in said.err
    assert "Traceback" not in said.err


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we cannot explain keeps its traceback."""

    def fail(**_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "make_app", lambda _: fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_colours_are_for_terminals_and_not_where_they_are_unwanted(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal an error is red; with NO_COLOR, or written to a file, the same words come without any code."""
    arguments = ("report", "json", "nothing")
    coloured = deltaproof(*arguments, terminal=True).err
    assert ESCAPE in coloured
    stderr.cache_clear()
    plain = deltaproof(*arguments).err
    stderr.cache_clear()
    monkeypatch.setenv("NO_COLOR", "1")
    unwanted = deltaproof(*arguments, terminal=True).err
    assert ESCAPE not in plain + unwanted
    assert plain == unwanted == re.sub(r"\x1b\[[0-9;]*m", "", coloured)


@pytest.mark.usefixtures("resolved")
@pytest.mark.parametrize("arguments", [("plan", "--json"), ("doctor", "--json")], ids=["plan", "doctor"])
def test_json_is_alone_on_stdout(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """What stdout holds is one JSON value, whatever is said to people."""
    monkeypatch.setattr("harness.cli.doctor._torch", lambda: "CPU build")
    said = deltaproof(*arguments)
    assert json.loads(said.out)
    assert ESCAPE not in said.out + said.err
