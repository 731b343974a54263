"""What `harness.cells.locks` asks uv for, what it keeps, and what it says when uv refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from harness.cells.locks import cutoff_of, parse_lock, requirement_specifiers, resolve
from harness.cells.records import TorchSource
from harness.errors import EnvironmentBuildError, StorageError
from harness.records.cases import Cell
from tests.cells.conftest import CUTOFF, FakeUv, a_cell, a_matrix

DAY = date(2026, 11, 21)

pytestmark = pytest.mark.usefixtures("pip_listing")


def test_a_row_is_locked_with_hashes_at_the_cut_off(fake_uv: FakeUv, tmp_path: Path) -> None:
    """A pinned row is resolved once, with hashes and wheels alone, as of the matrix's cut-off."""
    cell = a_cell(alpha="1.2")

    resolved = resolve(cell, a_matrix(cell, beta=""), out=tmp_path, day=DAY)

    [words] = fake_uv.calls
    assert {"--generate-hashes", "--no-python-downloads"} <= set(words)
    assert CUTOFF == words[words.index("--exclude-newer") + 1]
    assert ":all:" == words[words.index("--only-binary") + 1]
    assert "1.2" == resolved.versions["alpha"]
    assert "--hash=sha256:" in resolved.lock_path.read_text()


def test_the_same_request_asks_uv_once(fake_uv: FakeUv, tmp_path: Path) -> None:
    """An unchanged rerun reads the lock that is there: the same digest, and no call of uv."""
    cell = a_cell(alpha="1.2")
    first = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    second = resolve(cell, a_matrix(cell), out=tmp_path, day=date(2027, 1, 1))

    assert first == second
    assert ["compile"] == fake_uv.verbs


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_cell(alpha="1.3"), id="another version"),
        pytest.param(a_cell(alpha="1.2", gamma="1"), id="another package"),
        pytest.param(a_cell(alpha="newest"), id="no pin"),
    ],
)
def test_another_request_is_another_lock(fake_uv: FakeUv, tmp_path: Path, other: Cell) -> None:
    """A row that asks for something else does not get the lock of before."""
    cell = a_cell(alpha="1.2")
    first = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    second = resolve(other, a_matrix(cell), out=tmp_path, day=DAY)

    assert first.lock_path != second.lock_path
    assert first.lock_digest != second.lock_digest


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        pytest.param(a_cell(alpha="1"), CUTOFF, id="pinned"),
        pytest.param(a_cell(newest=True, alpha="newest"), "2026-11-21T00:00:00Z", id="newest row"),
        pytest.param(a_cell(alpha="newest", beta="1"), "2026-11-21T00:00:00Z", id="one newest package"),
    ],
)
def test_newest_follows_the_day(cell: Cell, expected: str) -> None:
    """Pinned rows stop at the matrix's cut-off, rows with something newest at the start of the day of the plan."""
    assert expected == cutoff_of(cell, a_matrix(), DAY)


def test_newest_is_resolved_anew_each_day(fake_uv: FakeUv, tmp_path: Path) -> None:
    """The newest row is asked for again on the next day, and keeps its digest while the answer is the same."""
    cell = a_cell(newest=True, alpha="newest")
    first = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    second = resolve(cell, a_matrix(cell), out=tmp_path, day=date(2026, 11, 22))

    assert ["compile", "compile"] == fake_uv.verbs
    assert first.lock_path != second.lock_path
    assert first.lock_digest == second.lock_digest


def test_requirements_are_the_shared_ones_and_the_rows() -> None:
    """Exact versions become pins, and newest becomes no bound at all."""
    cell = a_cell(alpha="1.2", beta="newest")

    expected = {"torch": "==2", "pytest": "", "alpha": "==1.2", "beta": ""}
    assert expected == requirement_specifiers(cell, a_matrix(cell, torch="==2", pytest=""))


def test_a_stacks_requirements_are_those_of_its_rows_alone() -> None:
    """A row asks for what its stack needs, beside what is shared, and for nothing of another stack's."""
    peft, jax = a_cell("one", alpha="1"), a_cell("two", stack="jax_stacked", beta="2")
    stacks = {"torch_peft": {"torch": "==2"}, "jax_stacked": {"numpy": ""}}
    matrix = replace(a_matrix(peft, jax, pytest=""), stacks=stacks)

    assert {"pytest": "", "torch": "==2", "alpha": "==1"} == requirement_specifiers(peft, matrix)
    assert {"pytest": "", "numpy": "", "beta": "==2"} == requirement_specifiers(jax, matrix)


def test_a_row_without_torch_is_locked_without_a_word_of_it(fake_uv: FakeUv, tmp_path: Path) -> None:
    """uv is told nothing of torch's index, no source of torch is looked for, and the lock names none."""
    cell = a_cell(stack="jax_stacked", alpha="1.2")
    resolved = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    assert TorchSource() == resolved.torch_source
    assert not any("torch" in word for word in fake_uv.calls[0])
    assert "torch" not in resolved.lock_path.read_text()


def test_a_refusal_holds_uvs_own_words_and_leaves_no_lock(fake_uv: FakeUv, tmp_path: Path) -> None:
    """A row that cannot be resolved is an error of that row, with what uv said, and the next try asks again."""
    fake_uv.tell(fail_compile="Because alpha==1.2 does not exist, your requirements are unsatisfiable.")
    cell = a_cell("r9", alpha="1.2")

    with pytest.raises(EnvironmentBuildError) as raised:
        resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    assert "r9" == raised.value.where
    assert "Because alpha==1.2 does not exist, your requirements are unsatisfiable." == raised.value.log
    assert [] == list((tmp_path / "locks").glob("*.txt*[!k]"))
    fake_uv.tell(fail_compile="")
    assert {"alpha": "1.2"} == resolve(cell, a_matrix(cell), out=tmp_path, day=DAY).versions


def test_a_cuda_lock_is_refused_and_not_kept(fake_uv: FakeUv, tmp_path: Path) -> None:
    """A lock with the CUDA build of torch is an error that names it, and no lock."""
    fake_uv.tell(lock="nvidia-cublas==13.1\ntorch==2.13.0\n")
    cell = a_cell(torch="2.13.0")

    with pytest.raises(EnvironmentBuildError, match="not the CPU build") as raised:
        resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    assert "nvidia-cublas==13.1" in raised.value.log
    assert [] == list((tmp_path / "locks").glob("*.txt*[!k]"))


def test_without_find_links_torch_is_uvs_cpu_build(fake_uv: FakeUv, tmp_path: Path) -> None:
    """Where pip knows no CPU wheel, uv is told to use its CPU index, and that its files have no dates."""
    fake_uv.tell(lock="torch==2.13.0+cpu\n")
    cell = a_cell(torch="2.13.0")

    resolved = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    [words] = fake_uv.calls
    assert "cpu" == words[words.index("--torch-backend") + 1]
    assert "torch=false" == words[words.index("--exclude-newer-package") + 1]
    assert ("--torch-backend", "cpu") == resolved.torch_source.install_arguments


def test_with_find_links_torch_is_the_wheel_there(
    fake_uv: FakeUv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU wheel in pip's find-links is pinned by its local version; a lock that is reused remembers that."""
    (tmp_path / "torch-2.13.0+cpu-py3-none-any.whl").touch()
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    cell = a_cell(torch="2.13.0")

    first = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)
    again = resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    [words] = fake_uv.calls
    assert str(tmp_path) == words[words.index("--find-links") + 1]
    assert "--torch-backend" not in words
    assert {"torch": "2.13.0+cpu"} == first.versions
    assert ("--find-links", str(tmp_path)) == again.torch_source.install_arguments


def test_an_unwritable_folder_is_one_clear_line(fake_uv: FakeUv, tmp_path: Path) -> None:
    """An output folder that cannot hold locks is a StorageError, and uv is not asked."""
    (tmp_path / "locks").write_text("a file where the folder should be")
    cell = a_cell(alpha="1")

    with pytest.raises(StorageError):
        resolve(cell, a_matrix(cell), out=tmp_path, day=DAY)

    assert [] == fake_uv.calls


def test_parse_lock_reads_pins_alone() -> None:
    """Comments, hashes and markers are no distributions, and names are normalised."""
    text = "# comment\nZope.Interface==7.1 ; python_version > '3' \\\n    --hash=sha256:00\n    # via x\nb==1+cpu\n"

    assert {"b": "1+cpu", "zope-interface": "7.1"} == parse_lock(text, where="row")


def test_parse_lock_refuses_what_pins_nothing() -> None:
    """A line that is neither a pin nor a comment is an error: an environment must be what its lock says."""
    with pytest.raises(EnvironmentBuildError, match="pins nothing"):
        parse_lock("a @ file:///somewhere\n", where="row")
