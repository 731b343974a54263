"""Artifacts appear whole or not at all, and say what has become of their files since."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import artifacts
from harness.errors import ArtifactError, StorageError
from harness.records.jobs import Answer, Crash, FileEntry

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def make(directory: Path, **files: str) -> Answer:
    """An artifact with these files, and its answer as read back."""
    with artifacts.creating(directory) as partial:
        for name, text in files.items():
            (partial / name).write_text(text)
        artifacts.finish(partial, Answer(job="a job"))
    return artifacts.read_answer(directory)


def test_an_artifact_appears_when_it_is_whole(tmp_path: Path) -> None:
    """Until the block ends its name is not there; then it is, and the partial is not."""
    directory = tmp_path / "deep" / "artifact"
    with artifacts.creating(directory) as partial:
        (partial / "file").touch()
        assert not directory.exists()
        assert partial.parent == directory.parent
    assert [directory] == list(directory.parent.iterdir())
    assert ["file"] == os.listdir(directory)


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    """The exception goes on, the partial is removed."""
    with pytest.raises(ZeroDivisionError), artifacts.creating(tmp_path / "artifact") as partial:
        (partial / "file").write_text(str(1 / 0))
    assert [] == list(tmp_path.iterdir())


def test_the_first_one_wins(tmp_path: Path) -> None:
    """An artifact that is there by the time ours is whole stays as it is, and ours is dropped."""
    with artifacts.creating(tmp_path / "artifact") as partial:
        (partial / "file").write_text("second")
        make(tmp_path / "artifact", file="first")
    assert "first" == (tmp_path / "artifact" / "file").read_text()
    assert ["artifact"] == os.listdir(tmp_path)


def test_the_answer_lists_every_other_file(tmp_path: Path) -> None:
    """Paths below the artifact, sorted, with sizes and digests; the answer itself is not among them."""
    with artifacts.creating(tmp_path / "artifact") as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "answer.json").touch()
        (partial / "b").touch()
        artifacts.finish(partial, Answer(job="a job"))
    files = artifacts.read_answer(tmp_path / "artifact").files
    assert tuple(FileEntry(path=path, size_bytes=0, sha256=EMPTY_SHA256) for path in ("b", "sub/answer.json")) == files


def test_changes_are_seen(tmp_path: Path) -> None:
    """Changed, removed and added files are named, unchanged ones are not; and the digest is another."""
    directory = tmp_path / "artifact"
    answer = make(directory, same="s", changed="c", removed="r")
    digest = artifacts.content_digest(directory)
    assert () == artifacts.changed_files(directory, answer)

    times = (directory / "changed").stat()
    (directory / "changed").write_text("d")  # as long as before, and as old
    os.utime(directory / "changed", ns=(times.st_atime_ns, times.st_mtime_ns))
    (directory / "removed").unlink()
    (directory / "added").touch()

    assert ("added", "changed", "removed") == artifacts.changed_files(directory, answer)
    assert digest != artifacts.content_digest(directory)


def test_the_digest_is_of_contents_alone(tmp_path: Path) -> None:
    """Two artifacts with the same files have the same digest, whatever they answered and wherever they lie."""
    make(tmp_path / "one", file="x")
    with artifacts.creating(tmp_path / "two") as partial:
        (partial / "file").write_text("x")
        artifacts.finish(partial, Answer(job="another", losses=(1.0,)))
    assert artifacts.content_digest(tmp_path / "one") == artifacts.content_digest(tmp_path / "two")


def test_a_digest_of_a_part(tmp_path: Path) -> None:
    """Only the files and folders that were named count."""
    directory = tmp_path / "artifact"
    (directory / "adapter").mkdir(parents=True)
    (directory / "adapter" / "file").write_text("x")
    part, whole = artifacts.content_digest(directory, ("adapter",)), artifacts.content_digest(directory)
    (directory / "adapter_of_others").touch()
    assert part == artifacts.content_digest(directory, ("adapter",))
    assert whole != artifacts.content_digest(directory)


@pytest.mark.parametrize("target", ["/etc/hostname", "inside", "folder"], ids=["outside", "to a file", "to a folder"])
def test_links_are_refused(tmp_path: Path, target: str) -> None:
    """A link would let files change from elsewhere, or show what is not ours."""
    (tmp_path / "inside").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(ArtifactError, match="link: an artifact holds files and folders only"):
        artifacts.file_entries(tmp_path)


def test_an_artifact_that_is_not_there(tmp_path: Path) -> None:
    """Neither an answer nor files can be read."""
    with pytest.raises(ArtifactError):
        artifacts.read_answer(tmp_path / "nowhere")
    with pytest.raises(ArtifactError):
        artifacts.file_entries(tmp_path / "nowhere")


def test_discarding_removes_an_artifact_and_nothing_else(tmp_path: Path) -> None:
    """Its neighbour stays; discarding what is not there is nothing."""
    make(tmp_path / "one")
    make(tmp_path / "two")
    artifacts.discard(tmp_path / "one")
    artifacts.discard(tmp_path / "one")
    assert ["two"] == os.listdir(tmp_path)


def test_partials_of_dead_processes_are_swept(tmp_path: Path) -> None:
    """Those of living processes, ours included, and finished artifacts stay."""
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    make(tmp_path / "whole")
    scratch = artifacts.partial_beside(tmp_path / "scratch")
    scratch.mkdir()
    with artifacts.creating(tmp_path / "ours") as ours:
        name = ours.name.replace("ours", "artifact")
        stale = tmp_path / name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
        living = tmp_path / name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
        namesake = tmp_path / name
        for partial in (stale, living, namesake):
            partial.mkdir()
            (partial / "file").touch()
        assert 2 == artifacts.sweep_partials(tmp_path)
        assert {"whole", ours.name, living.name, scratch.name} == set(os.listdir(tmp_path))


def test_partials_of_other_hosts_are_swept_when_they_are_old(tmp_path: Path) -> None:
    """A process id says nothing about another machine; age does."""
    names = [f"artifact.partial-{'0' * 8}-{os.getpid()}-{end}" for end in ("aa", "bb")]
    for name in names:
        (tmp_path / name).mkdir()
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / names[0], (two_days_ago, two_days_ago))
    assert 1 == artifacts.sweep_partials(tmp_path)
    assert [names[1]] == os.listdir(tmp_path)


def test_sweeping_a_folder_that_is_not_there_is_nothing(tmp_path: Path) -> None:
    """Nothing to sweep, nothing made."""
    assert 0 == artifacts.sweep_partials(tmp_path / "nowhere")


def test_a_full_disk_is_a_storage_error(tmp_path: Path) -> None:
    """One line that names the artifact and what to do; nothing is left."""
    with pytest.raises(StorageError) as caught, artifacts.creating(tmp_path / "artifact"):
        Path("/dev/full").write_bytes(b"x")
    assert 1 == len(str(caught.value).splitlines())
    assert "artifact" in str(caught.value) and "No space left on device. Free some space" in str(caught.value)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS], ids=errno.errorcode.get)
def test_every_step_that_the_disk_refuses_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Making, syncing and naming an artifact can all fail; each is one line, and none leaves a partial."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError, match=f"cannot be written: {os.strerror(number)}"):
        make(tmp_path / "artifact")
    assert [] == list(tmp_path.iterdir())


def test_a_permission_error_about_another_place_is_not_ours(tmp_path: Path) -> None:
    """The code under test may be refused its own cache; that is its crash, not our disk."""
    with pytest.raises(PermissionError), artifacts.creating(tmp_path / "artifact"):
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/cache")
    with pytest.raises(StorageError), artifacts.creating(tmp_path / "artifact") as partial:
        raise PermissionError(errno.EACCES, "Permission denied", str(partial / "file"))


def test_a_library_that_met_a_full_disk_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exceptions from Rust or C++ say it in their own words, so the disk is looked at; so are recorded crashes."""
    with pytest.raises(RuntimeError), artifacts.creating(tmp_path / "artifact"):
        raise RuntimeError("unexpected position")
    monkeypatch.setattr(artifacts, "_is_full", lambda path: True)
    with pytest.raises(StorageError), artifacts.creating(tmp_path / "artifact"):
        raise RuntimeError("unexpected position")
    crash = Crash(stage="merge", exception="RuntimeError", message="unexpected position", traceback="")
    with pytest.raises(StorageError), artifacts.creating(tmp_path / "artifact") as partial:
        artifacts.finish(partial, Answer(job="a job", crash=crash))
    assert [] == list(tmp_path.iterdir())
