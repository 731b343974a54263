"""Machine code is kept and loaded without the compiler, and a file that is not ours is never run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.verify import native

GATHER = """
import sys
import numpy as np
from harness.verify.loops import columns_by_expert
b = np.arange(24, dtype=np.float32).reshape(2, 12)
print(columns_by_expert(b, 4)[1].tolist(), "numba" in sys.modules)
"""
GATHERED = "[[1.0, 5.0, 9.0], [13.0, 17.0, 21.0]]"


def gather(folder: Path) -> str:
    """What another process says that it computed, and whether it had to compile."""
    environment = {**os.environ, "DELTAPROOF_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", GATHER], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_second_process_needs_no_compiler(tmp_path: Path) -> None:
    """The first one compiles and keeps; the second gives the same without importing numba."""
    assert [f"{GATHERED} True", f"{GATHERED} False"] == [gather(tmp_path), gather(tmp_path)]
    [kept] = (tmp_path / "deltaproof").iterdir()
    assert kept.name.startswith("columns_by_expert-")


CODE = b"\x7fELF" + bytes(range(256))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no users here")
@pytest.mark.parametrize(("mode", "is_ours"), [(0o600, True), (0o644, True), (0o620, False), (0o602, False)])
def test_what_others_may_write_is_no_code_of_ours(tmp_path: Path, mode: int, is_ours: bool) -> None:
    """A file that another user could have changed is not run."""
    place = tmp_path / "deltaproof" / "tally.o"
    native._keep(place, CODE)
    place.chmod(mode)
    assert (CODE if is_ours else None) == native._kept(place)


@pytest.mark.parametrize("damage", ["truncated", "empty", "one bit", "longer"])
def test_a_file_that_is_damaged_is_no_code(tmp_path: Path, damage: str) -> None:
    """Half a file (a full disk, a copied cache) is never loaded."""
    place = tmp_path / "tally.o"
    native._keep(place, CODE)
    held = place.read_bytes()
    damaged = {"truncated": held[:100], "empty": b"", "one bit": held[:-1] + b"\xfe", "longer": held + b"\0"}
    place.write_bytes(damaged[damage])
    assert native._kept(place) is None


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    """Nothing is kept, and nothing fails."""
    (tmp_path / "deltaproof").write_text("in the way")
    native._keep(tmp_path / "deltaproof" / "tally.o", CODE)
    assert native._kept(tmp_path / "deltaproof" / "tally.o") is None


def test_addresses_are_those_of_the_numbers() -> None:
    """A slice begins where its first number is."""
    array = np.zeros((4, 8), np.float32)
    assert native.address(array[2:]) - native.address(array) == 2 * 8 * 4
