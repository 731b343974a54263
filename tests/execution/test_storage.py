"""A full disk or a folder that cannot be written: one clear line, and nothing half-written."""

from __future__ import annotations

import os
import subprocess

import pytest

from harness.errors import StorageError
from tests.execution.conftest import Bench

IN_A_SMALL_DISK = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


def can_mount() -> bool:
    """Whether this user may mount a disk that nobody else sees."""
    try:
        command = [*IN_A_SMALL_DISK, "mount -t tmpfs tmpfs /mnt"]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    except OSError:
        return False
    return done.returncode == 0


needs_mounts = pytest.mark.skipif(not can_mount(), reason="this user may not mount a small disk (unshare, mount)")


def test_a_job_that_fills_the_disk_stops_the_run(bench: Bench) -> None:
    """The run ends with the worker's one line, and the job leaves nothing behind."""
    with pytest.raises(StorageError) as caught:
        bench.run(orders={"one@r1": "fill the disk"})

    assert 1 == len(str(caught.value).splitlines())
    assert "cannot be written: No space left on device" in str(caught.value)
    assert "Free some space there" in str(caught.value)
    assert "one@r1" not in bench.done()
    assert [] == list((bench.out / "writes").glob("*.partial-*"))


def test_a_run_that_met_a_full_disk_goes_on_when_there_is_room(bench: Bench) -> None:
    """What was finished before is not repeated."""
    with pytest.raises(StorageError):
        bench.run(["r1"], orders={"two@r1": "fill the disk"})
    execution = bench.run(["r1"])

    assert execution.writes["one@r1"].reused
    assert not execution.writes["two@r1"].reused


def test_an_output_folder_that_is_a_file_is_one_line(bench: Bench) -> None:
    """It names the path and what to do."""
    bench.out.write_text("in the way")

    with pytest.raises(StorageError, match=r"^\S*out\S*: cannot be written: .*\. Look at that folder and its disk"):
        bench.run()


@needs_mounts
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("size=16k", "No space left on device"),
        ("size=200k", "No space left on device"),
        ("ro", "Read-only file system"),
    ],
    ids=["full at once", "full in the middle", "read-only"],
)
def test_a_real_disk_is_one_line(bench: Bench, options: str, reason: str) -> None:
    """A file system that is full or read-only ends the engine with exit 2 and one line, no traceback."""
    bench.out.mkdir()
    prefix = [*IN_A_SMALL_DISK, f'mount -t tmpfs -o {options} tmpfs "{bench.out}" && exec "$0" "$@"']
    many = tuple(f"case{number}" for number in range(12))
    engine = bench.start(cases=many, prefix=prefix)
    _, complaint = engine.communicate(timeout=60)

    assert (2, 1) == (engine.returncode, len(complaint.splitlines()))
    assert f"cannot be written: {reason}" in complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(bench: Bench) -> None:
    """It says to make the folder writable."""
    bench.out.mkdir(mode=0o500)

    with pytest.raises(StorageError, match=r"Permission denied\. Make that folder writable"):
        bench.run()
