"""The real uv and the real registry, on rows of one small package."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from harness.cells.environments import differences, installed
from harness.cells.many import build_all, resolve_all
from harness.cells.variables import cell_environment
from tests.cells.conftest import a_cell, a_matrix

pytestmark = pytest.mark.registry

DAY = date(2026, 11, 1)


def test_rows_are_resolved_and_built_and_an_unsatisfiable_one_is_told(tmp_path: Path) -> None:
    """Two rows hold exactly their locks and run; the one that asks for what does not exist has uv's words for it."""
    pinned = a_cell("pinned", six="1.16.0")
    newest = a_cell("newest", newest=True, six="newest")
    impossible = a_cell("impossible", six="99999")
    matrix = a_matrix(pinned, impossible, newest, iniconfig="")

    resolved = resolve_all(matrix.cells, matrix, out=tmp_path, day=DAY)
    built = build_all(resolved.done.values(), out=tmp_path)

    assert ["pinned", "newest"] == list(built.done)
    assert "six==99999" in resolved.failed["impossible"].log
    assert "unsatisfiable" in resolved.failed["impossible"].log
    assert "1.16.0" == built.done["pinned"].versions["six"]
    assert "1.16.0" != built.done["newest"].versions["six"]
    for row in built.done.values():
        assert [] == differences(row.resolved.versions, installed(row.directory))
        assert {"six", "iniconfig"} == row.versions.keys()
        variables = cell_environment(scratch=tmp_path, code=tmp_path)
        command = [str(row.python), "-c", "import six, sys; print(six.__version__, sys.prefix)"]
        said = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout
        assert f"{row.versions['six']} {row.directory}" == said.strip()


def test_a_wheel_that_is_not_the_locked_one_is_refused(tmp_path: Path) -> None:
    """A lock whose hash does not match what the registry serves builds nothing."""
    cell = a_cell(six="1.16.0")
    matrix = a_matrix(cell)
    [row] = resolve_all([cell], matrix, out=tmp_path, day=DAY).done.values()
    text = row.lock_path.read_text()
    row.lock_path.write_text(text.replace("sha256:8", "sha256:7"))
    assert text != row.lock_path.read_text()

    outcomes = build_all([row], out=tmp_path)

    assert {} == outcomes.done
    assert "hash mismatch" in outcomes.failed["row"].log.lower()
