"""Which environments are built for which parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import main, matrix, stacks, verify
from bench.figures import Part


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The rows that are built. Nothing is measured."""
    rows: list[str] = []

    def build(_catalogue: Any, names: Sequence[str], _out: Path, *, cold: bool = False) -> Any:
        rows.extend(names or ["all of them"])
        return [], {name: SimpleNamespace(python=Path(f"built-{name}")) for name in names}

    monkeypatch.setattr(matrix, "build", build)
    monkeypatch.setattr(stacks, "measure", lambda pythons, *_: iter([(Part.JAX, pythons[row]) for row in stacks.ROWS]))
    monkeypatch.setattr(verify, "measure", lambda python, _out: iter([(Part.VERIFY, python)]))
    return rows


@pytest.mark.parametrize(
    ("parts", "given", "expected"),
    [
        pytest.param([Part.VERIFY], [], ["newest"], id="verify alone"),
        pytest.param([Part.VERIFY], ["newest"], [], id="verify, and its row is there"),
        pytest.param([Part.JAX, Part.VERIFY], [], ["newest", "jax"], id="a row for two parts"),
        pytest.param([Part.JAX, Part.VERIFY], ["newest"], ["jax"], id="one of two is there"),
    ],
)
def test_the_rows_of_the_parts_are_built_once_and_those_that_are_given_not(
    parts: list[Part], given: list[str], expected: list[str], built: list[str], tmp_path: Path
) -> None:
    """And each part gets its own."""
    pythons = {row: Path(f"given-{row}") for row in given}
    found: list[Any] = list(main.measure(parts, tmp_path, (), "", (), False, pythons))
    assert expected == built
    rows = {Part.JAX: stacks.ROWS, Part.VERIFY: (verify.ROW,)}
    wanted = [(part, Path(f"{'given' if row in given else 'built'}-{row}")) for part in parts for row in rows[part]]
    assert wanted == found
