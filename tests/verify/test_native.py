"""Machine code is kept and loaded without the compiler, and a file that is not ours is never run."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.verify import native

WORK = """
import sys
import numpy as np
from harness.verify import loops
from harness.verify.blocks import Buffers
from harness.verify.dtypes import narrow
from harness.verify.loops import Counters, Lines, Product, Tile

b = np.arange(24, dtype=np.float32).reshape(2, 12)
print(loops.columns_by_expert(b, 4)[1].tolist())
for dtype in ("BF16", "F32"):
    ones, delta = np.ones((2, 8), np.float32), np.full((2, 8), 0.25, np.float32)
    tile = Tile(0, narrow(ones, dtype), narrow(ones + 0.5, dtype))
    tolerance, lines, wrong = np.zeros((2, 8), np.float32), Lines(*np.zeros((2, 2), np.int64)), np.ones(2, np.int64)
    halves = np.full((2, 1), 0.5, np.float32), np.full((1, 8), 0.5, np.float32)
    for kind in ("tally", "merge"):
        counters = Counters()
        if kind == "tally":
            rows = loops.tally(tile, delta, False, dtype, tolerance, counters, lines)
        else:
            rows = loops.merge(tile, Product(*halves, *halves), False, dtype, 8, Buffers(), counters, lines)
        print(rows, int(lines.wrong.sum()), counters.sums.tolist())
    print(loops.explain(tile, delta, True, dtype, dtype, tolerance, 0.0, wrong)[:3])
print("numba" in sys.modules)
"""


def work(folder: Path) -> list[str]:
    """What another process says that it computed with every loop, and whether it had to compile."""
    environment = {**os.environ, "DELTAPROOF_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", WORK], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_second_process_needs_no_compiler(tmp_path: Path) -> None:
    """The first one compiles and keeps; the second gives the same without importing numba."""
    first, second = work(tmp_path), work(tmp_path)
    wrong = "2 16 [1.0, 2.0, 4.0]"
    room = "2 0 [1.0, 2.0, 4.0]"
    columns = "[[1.0, 5.0, 9.0], [13.0, 17.0, 21.0]]"
    told = [columns, wrong, wrong, "(16, 0, 0)", wrong, room, "(16, 0, 0)"]
    assert ([*told, "True"], [*told, "False"]) == (first, second)
    kept = {place.name.partition("-")[0] for place in (tmp_path / "deltaproof").iterdir()}
    sizes = ("16_16", "32_32")
    counting = {f"{kind}_{size}" for kind in ("tally", "merge") for size in ("16_16_BF16", "32_32_F32")}
    assert {"columns_by_expert", *counting, *(f"explain_{size}" for size in sizes)} == kept


def imported(module: str) -> set[str]:
    """The modules of `verify` that one of them imports, and those that these import."""
    found = {module}
    for node in ast.walk(ast.parse(native._source(module))):
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("harness.verify."):
            found |= imported(node.module)
    return found


def test_all_that_is_compiled_is_part_of_its_name() -> None:
    """What the loops import too: else an edit there would leave the old machine code in use."""
    assert imported("harness.verify.kernels") == set(native.SOURCES) - {"harness.verify.native"}


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
