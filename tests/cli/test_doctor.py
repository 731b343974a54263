"""`deltaproof doctor`: what is there, and what to do about what is not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.cells.records import TorchSource
from harness.errors import EnvironmentBuildError, ExitCode
from harness.planning.matrix import load_matrix
from harness.sandbox.client import Outcome
from tests.cli.conftest import Said

Command = Callable[..., Said]
MATRIX = Path(__file__).parents[2] / "cases" / "matrix.toml"


class Usage(NamedTuple):
    """What `shutil.disk_usage` tells."""

    total: int
    used: int
    free: int


@pytest.fixture
def asked() -> set[str]:
    """The specifiers of torch whose source was looked for."""
    return set()


@pytest.fixture(autouse=True)
def _healthy(monkeypatch: pytest.MonkeyPatch, asked: set[str]) -> None:
    """uv is there, torch's source is found without the network, and the disk has room."""

    def found(specifier: str, _links: object) -> TorchSource:
        asked.add(specifier)
        return TorchSource(find_links=("links",), version="2.13.0+cpu")

    monkeypatch.setattr("harness.cli.doctor.find_uv", lambda: "uv")
    monkeypatch.setattr(
        "harness.sandbox.client.Sandbox.run", lambda _self, request: Outcome(how="answered", value=len(request))
    )
    monkeypatch.setattr("harness.cli.doctor.find_links", lambda: ("links",))
    monkeypatch.setattr("harness.cli.doctor.find_torch", found)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(0, 0, 50 << 30))


def findings(said: Said) -> dict[str, tuple[bool, str]]:
    """Name to whether it is well, and the detail."""
    return {each["name"]: (each["ok"], each["detail"]) for each in json.loads(said.out)}


def test_a_healthy_machine(deltaproof: Command, asked: set[str]) -> None:
    """Everything is looked at, everything is well, exit 0; people read the same on stderr."""
    said = deltaproof("doctor", "--json")
    found = findings(said)
    assert ExitCode.OK == said.code
    assert ["python", "uv", "torch", "cases", "output folder", "sandbox"] == list(found)
    assert {True} == {ok for ok, _ in found.values()}
    assert "6 families, rows r1, r2, r3, r4, newest (torch_peft) and jax (jax_stacked)" in found["cases"][1]
    assert "CPU build 2.13.0+cpu" in found["torch"][1]
    assert {load_matrix(MATRIX).stacks["torch_peft"]["torch"]} == asked
    for name, (_, detail) in found.items():
        assert f"ok   {name}: {detail}" in said.err


def test_without_json_stdout_is_empty(deltaproof: Command) -> None:
    """Words are for stderr."""
    assert (ExitCode.OK, "") == deltaproof("doctor")[:2]


def no_uv() -> str:
    """What `find_uv` does where there is none."""
    raise FileNotFoundError("the package uv is not installed")


def no_torch(_specifier: str, _links: object) -> TorchSource:
    """What `find_torch` does where there is no CPU build."""
    raise EnvironmentBuildError("no CPU build of torch", where="links", log="")


def no_room(_path: object) -> Usage:
    """A nearly full disk."""
    return Usage(0, 0, 1 << 30)


@pytest.mark.parametrize(
    ("place", "broken", "name", "words"),
    [
        pytest.param("harness.cli.doctor.find_uv", no_uv, "uv", "uv is not installed", id="no uv"),
        pytest.param("harness.cli.doctor.find_torch", no_torch, "torch", "no CPU build of torch", id="no torch"),
        pytest.param("shutil.disk_usage", no_room, "output folder", "little space is left", id="no room"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_is_still_looked_at(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch, place: str, broken: object, name: str, words: str
) -> None:
    """One thing is not well, all are told, exit 4."""
    monkeypatch.setattr(place, broken)
    said = deltaproof("doctor", "--json")
    found = findings(said)
    assert ExitCode.ENVIRONMENT == said.code
    assert [name] == [each for each, (ok, _) in found.items() if not ok]
    assert words in found[name][1]
    assert 6 == len(found)
    assert f"FAIL {name}:" in said.err


def test_a_machine_without_a_sandbox_is_told_so_and_can_run(
    deltaproof: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only canaries need one: a warning with what to do about it, and exit 0."""
    refused = Outcome(how="impossible", why="unshare: Operation not permitted")
    monkeypatch.setattr("harness.sandbox.client.Sandbox.run", lambda _self, _request: refused)
    said = deltaproof("doctor", "--json")
    ok, detail = findings(said)["sandbox"]
    assert (ExitCode.OK, False) == (said.code, ok)
    for words in ("`deltaproof canary` executes none", "unshare: Operation not permitted"):
        assert words in detail
    assert "WARN sandbox:" in said.err
    assert [False] == [each["needed"] for each in json.loads(said.out) if not each["ok"]]


def test_a_folder_that_cannot_be_written_is_found(deltaproof: Command) -> None:
    """A file stands in its place."""
    Path("file").write_text("in the way")
    said = deltaproof("doctor", "--json", "--out", "file/out")
    assert ExitCode.ENVIRONMENT == said.code
    assert not findings(said)["output folder"][0]


def test_built_environments_are_compared_with_their_locks(deltaproof: Command) -> None:
    """An environment that was never completed is found, and named."""
    lock = b"numpy==2.4.6 --hash=sha256:" + b"0" * 64 + b"\n"
    digest = hashlib.sha256(lock).hexdigest()
    Path("out/locks").mkdir(parents=True)
    Path("out/locks/r1.txt").write_bytes(lock)
    assert ExitCode.OK == deltaproof("doctor", "--out", "out").code
    (Path("out/cells") / digest[:16]).mkdir(parents=True)
    said = deltaproof("doctor", "--json", "--out", "out")
    assert (False, "not complete") == findings(said)[f"environment {digest[:16]}"]
    assert ExitCode.ENVIRONMENT == said.code


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel/unprivileged_userns_clone": "0"}, "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            {"kernel/apparmor_restrict_unprivileged_userns": "1", "user/max_user_namespaces": "0"},
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 user.max_user_namespaces=",
        ),
        (
            {"kernel/unprivileged_userns_clone": "1", "kernel/apparmor_restrict_unprivileged_userns": "0",
             "user/max_user_namespaces": "1000"},
            "seccomp",
        ),
        ({}, "seccomp"),
    ],
)  # fmt: skip
def test_what_forbids_namespaces_is_named(
    deltaproof: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], words: str
) -> None:
    """Each setting of this machine that does, with what to set; of a container, its own filter."""
    for name, value in settings.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n", encoding="ascii")
    monkeypatch.setattr("harness.cli.doctor.SETTINGS", tmp_path)
    monkeypatch.setattr(
        "harness.sandbox.client.Sandbox.run", lambda *_: Outcome(how="impossible", why="[Errno 28] unshare: No space")
    )
    said = deltaproof("doctor", "--json")
    is_well, detail = findings(said)["sandbox"]
    assert not is_well
    assert words in detail
    assert ("seccomp" in detail) is (words == "seccomp")
    assert "No space" in detail
