"""What `harness.cells.environments` builds, reuses, rebuilds and refuses, at whatever moment it is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cells.environments import MARKER, build, differences, installed, is_complete
from harness.errors import EnvironmentBuildError, StorageError
from tests.cells.conftest import FakeUv, a_resolved_cell

VERSIONS = {"alpha": "1.0", "beta-two": "2.0+cpu", "gamma": "3"}
ROOT = Path(__file__).parents[2]


def test_an_environment_holds_its_lock_and_is_reused(fake_uv: FakeUv, tmp_path: Path) -> None:
    """The first build installs the lock with its hashes, the second one calls uv no more."""
    resolved = a_resolved_cell(tmp_path, VERSIONS)

    first = build(resolved, out=tmp_path)
    second = build(resolved, out=tmp_path)

    assert ["venv", "sync"] == fake_uv.verbs
    assert "--require-hashes" in fake_uv.calls[1]
    assert (False, True) == (first.reused, second.reused)
    assert VERSIONS == first.versions == second.versions
    assert first.python.exists()
    assert first.directory in first.python.parents
    assert tmp_path / "cells" / resolved.lock_digest[:16] == first.directory


def _lose_marker(directory: Path) -> None:
    (directory / MARKER).unlink()


def _lose_python(directory: Path) -> None:
    (directory / "bin" / "python").unlink()
    (directory / "bin" / "python").symlink_to(directory / "removed")


def _add_distribution(directory: Path) -> None:
    place = directory / "lib" / "python3" / "site-packages" / "stranger-1.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")


def _lose_distribution(directory: Path) -> None:
    shutil.rmtree(directory / "lib" / "python3" / "site-packages" / "gamma-3.dist-info")


@pytest.mark.parametrize("damage", [_lose_marker, _lose_python, _add_distribution, _lose_distribution])
def test_an_environment_that_is_not_as_built_is_rebuilt(
    fake_uv: FakeUv, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Without its marker, its interpreter or exactly its lock, an environment is wiped and made again."""
    resolved = a_resolved_cell(tmp_path, VERSIONS)
    directory = build(resolved, out=tmp_path).directory
    (directory / "leftover").touch()
    damage(directory)

    again = build(resolved, out=tmp_path)

    assert not again.reused
    assert VERSIONS == again.versions
    assert not (directory / "leftover").exists()


@pytest.mark.parametrize("verb", ["venv", "sync"])
def test_a_failure_holds_uvs_own_words_and_leaves_nothing(fake_uv: FakeUv, tmp_path: Path, verb: str) -> None:
    """What uv said is the error's log, no half an environment stays, and the next try builds it."""
    fake_uv.tell(**{f"fail_{verb}": "error: the wheel of alpha is broken"})
    resolved = a_resolved_cell(tmp_path, VERSIONS, "r9")

    with pytest.raises(EnvironmentBuildError) as raised:
        build(resolved, out=tmp_path)

    assert "r9" == raised.value.where
    assert "error: the wheel of alpha is broken" == raised.value.log
    assert [] == _directories(tmp_path / "cells")
    fake_uv.tell(**{f"fail_{verb}": ""})
    assert VERSIONS == build(resolved, out=tmp_path).versions


def test_an_environment_without_all_of_its_lock_is_refused(fake_uv: FakeUv, tmp_path: Path) -> None:
    """If uv says that all went well, and a distribution is missing, the cell fails by its name."""
    fake_uv.tell(forget="gamma")

    with pytest.raises(EnvironmentBuildError, match="does not hold its lock") as raised:
        build(a_resolved_cell(tmp_path, VERSIONS), out=tmp_path)

    assert "gamma: locked 3, not installed" == raised.value.log


def test_a_missing_uv_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without uv the error says so, and how to get it."""
    monkeypatch.setitem(sys.modules, "uv", None)

    with pytest.raises(EnvironmentBuildError, match="pip install uv"):
        build(a_resolved_cell(tmp_path, VERSIONS), out=tmp_path)


def test_an_unwritable_folder_is_one_clear_line(fake_uv: FakeUv, tmp_path: Path) -> None:
    """An output folder that cannot hold environments is a StorageError, and uv is not asked."""
    (tmp_path / "cells").write_text("a file where the folder should be")

    with pytest.raises(StorageError):
        build(a_resolved_cell(tmp_path, VERSIONS), out=tmp_path)

    assert [] == fake_uv.calls


@pytest.mark.parametrize("survives", [False, True], ids=["uv is killed too", "uv lives on"])
def test_a_builder_killed_while_it_installs_does_no_harm(fake_uv: FakeUv, tmp_path: Path, survives: bool) -> None:
    """After `kill -9` in the middle, nothing has the environment's name, and the next build makes it whole."""
    fake_uv.tell(delay_s="0.1")
    resolved = a_resolved_cell(tmp_path, {f"package-{i}": "1" for i in range(10)})
    builder = _start_builder(resolved.lock_path, fake_uv.program, tmp_path)
    _wait_for(tmp_path / "cells", "*.partial-*/lib/*/*/*.dist-info/METADATA")

    if survives:
        builder.kill()
    else:
        os.killpg(builder.pid, signal.SIGKILL)
    builder.wait()

    assert not (tmp_path / "cells" / resolved.lock_digest[:16]).exists()
    fake_uv.tell(delay_s="0")
    built = build(resolved, out=tmp_path)
    assert resolved.versions == installed(built.directory)
    # A uv that lives on may still write into the ruin while that is wiped: then the next builder wipes it.
    assert survives or [built.directory] == _directories(tmp_path / "cells")


def test_a_builder_killed_at_any_moment_does_no_harm(fake_uv: FakeUv, tmp_path: Path) -> None:
    """After `kill -9`, what has the environment's name is whole or not there, and the next build ends with its lock."""
    resolved = a_resolved_cell(tmp_path, {f"package-{i}": "1" for i in range(10)})
    instants = random.Random(7)

    for i in range(6):
        fake_uv.tell(delay_s="0.02")
        out = tmp_path / str(i)
        builder = _start_builder(resolved.lock_path, fake_uv.program, out)
        _wait_for(out, "cells")
        time.sleep(instants.uniform(0.0, 0.5))
        os.killpg(builder.pid, signal.SIGKILL)
        builder.wait()
        directory = out / "cells" / resolved.lock_digest[:16]
        assert not directory.exists() or is_complete(directory, resolved.versions)
        fake_uv.tell(delay_s="0")

        built = build(resolved, out=out)

        assert resolved.versions == installed(built.directory)
        assert [directory] == _directories(out / "cells")


def test_two_builders_at_once_build_once(fake_uv: FakeUv, tmp_path: Path) -> None:
    """Two runs that want the same environment at the same time end with one, built once."""
    fake_uv.tell(delay_s="0.03")
    resolved = a_resolved_cell(tmp_path, VERSIONS)
    builders = [_start_builder(resolved.lock_path, fake_uv.program, tmp_path) for _ in range(2)]

    assert [0, 0] == [builder.wait() for builder in builders]

    assert ["venv", "sync"] == fake_uv.verbs
    assert build(resolved, out=tmp_path).reused


def test_differences_name_each_side() -> None:
    """What is missing, what is there besides, and what has another version are told apart; equal sets have none."""
    locked = {"alpha": "1.0", "beta": "2", "gamma": "3"}

    assert [] == differences(locked, {**locked, "alpha": "1"})
    assert [
        "beta: locked 2, installed 2.1",
        "deltaproof: not locked, installed 0.1.0",
        "gamma: locked 3, not installed",
    ] == differences(locked, {"alpha": "1.0", "beta": "2.1", "deltaproof": "0.1.0"})


_BUILDER = """
import sys
from pathlib import Path
from harness.cells import environments, uv_tool
from harness.cells.locks import parse_lock
from tests.cells.conftest import a_resolved_cell
lock, uv, out = map(Path, sys.argv[1:])
uv_tool.find_uv = lambda: str(uv)
versions = parse_lock(lock.read_text(), where="")
copy = out / "builder"
copy.mkdir(parents=True, exist_ok=True)
environments.build(a_resolved_cell(copy, versions, lock.stem), out=out)
"""


def _start_builder(lock: Path, uv: Path, out: Path) -> subprocess.Popen[bytes]:
    # A process group of its own: the uv that it has started is killed with it.
    return subprocess.Popen(
        [sys.executable, "-c", _BUILDER, str(lock), str(uv), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def _wait_for(folder: Path, pattern: str) -> None:
    deadline = time.monotonic() + 60
    while not any(folder.glob(pattern)) and time.monotonic() < deadline:
        time.sleep(0.005)


def _directories(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()]
