"""Several rows at once: what fails is kept, what does not is done, and progress is told for all."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.cells import many
from harness.cells.many import build_all, resolve_all
from harness.cells.records import State
from harness.errors import EnvironmentBuildError, StorageError
from tests.cells.conftest import FakeUv, a_cell, a_matrix, a_resolved_cell

DAY = date(2026, 11, 21)


def test_a_row_that_cannot_be_built_does_not_stop_the_others(fake_uv: FakeUv, tmp_path: Path) -> None:
    """The failed row keeps its error, the others are built, and each row's progress ends."""
    good, bad = a_resolved_cell(tmp_path, {"alpha": "1"}, "good"), a_resolved_cell(tmp_path, {"beta": "1"}, "bad")
    last = a_resolved_cell(tmp_path, {"gamma": "1"}, "last")
    fake_uv.tell(forget="beta")
    told: list[tuple[str, State]] = []

    outcomes = build_all([good, bad, last], out=tmp_path, on_progress=lambda name, state: told.append((name, state)))

    assert ["good", "last"] == list(outcomes.done)
    assert "beta: locked 1, not installed" == outcomes.failed["bad"].log
    expected = {("good", "built"), ("bad", "failed"), ("last", "built")}
    assert expected == {(name, state) for name, state in told if state != "building"}


def test_progress_says_what_was_reused(fake_uv: FakeUv, tmp_path: Path) -> None:
    """An environment that was there already is told as reused, not as built."""
    row = a_resolved_cell(tmp_path, {"alpha": "1"})
    told: list[State] = []

    for _ in range(2):
        build_all([row], out=tmp_path, on_progress=lambda _, state: told.append(state))

    assert ["building", "built", "building", "reused"] == told


def test_a_folder_that_cannot_be_written_stops_all(fake_uv: FakeUv, tmp_path: Path) -> None:
    """A full or unwritable disk is no row's fault: it ends the whole, as a StorageError."""
    (tmp_path / "cells").touch()

    with pytest.raises(StorageError):
        build_all([a_resolved_cell(tmp_path, {"alpha": "1"})], out=tmp_path)


@pytest.mark.usefixtures("pip_listing")
def test_a_row_that_cannot_be_resolved_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resolving goes on after a row that fails, and no row is lost."""
    cells = [a_cell(name, alpha="1") for name in ("one", "two", "three")]

    def resolve(cell: object, *_: object, **__: object) -> object:
        if cell == cells[1]:
            raise EnvironmentBuildError("resolving failed", where="two", log="no such version")
        return cell

    monkeypatch.setattr(many, "resolve", resolve)

    outcomes = resolve_all(cells, a_matrix(*cells), out=tmp_path, day=DAY)

    assert ["one", "three"] == list(outcomes.done)
    assert "no such version" == outcomes.failed["two"].log
