"""What `cases/matrix.toml` may say, and which of its rows are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import CaseError, UsageError
from harness.planning.matrix import load_matrix, select_cells

OURS = Path(__file__).parents[2] / "cases" / "matrix.toml"

GOOD = """
cutoff = "2026-11-01T00:00:00Z"
[shared]
pytest = ""
[stacks.torch_peft]
torch = "==2.13.0"
[stacks.jax_stacked]
numpy = ""
[[cells]]
name = "one"
why = "the first"
stack = "torch_peft"
requirements = { peft = "0.19.1" }
[[cells]]
name = "two"
why = "the newest"
stack = "torch_peft"
requirements = { peft = "newest" }
newest = true
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "matrix.toml"
    path.write_text(text)
    return path


def test_our_matrix_has_its_rows() -> None:
    """Four pinned rows and the newest one on the CPU build's version of torch, and the second stack's; with reasons."""
    matrix = load_matrix(OURS)
    packages = {"torch_peft": {"transformers", "peft", "trl"}, "jax_stacked": {"jax", "flax", "optax"}}

    assert ["r1", "r2", "r3", "r4", "newest", "jax"] == [cell.name for cell in matrix.cells]
    assert ["jax"] == [cell.name for cell in matrix.cells if cell.stack == "jax_stacked"]
    assert ["newest"] == [cell.name for cell in matrix.cells if cell.newest]
    assert all(cell.why for cell in matrix.cells)
    assert matrix.stacks["torch_peft"]["torch"].startswith("==")
    assert "torch" not in {*matrix.shared, *matrix.stacks["jax_stacked"]}
    assert all(packages[cell.stack] == cell.requirements.keys() for cell in matrix.cells)


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        pytest.param('why = "the first"', 'why = "the first"\ncolour = 1', "unknown key 'colour'", id="unknown key"),
        pytest.param('why = "the first"\n', "", "key 'why' is missing", id="missing key"),
        pytest.param('name = "two"', 'name = "one"', "one: this row is declared twice", id="duplicate"),
        pytest.param('name = "two"', 'name = "a>b"', "not a name", id="bad name"),
        pytest.param('name = "two"', 'name = "here"', "not a name", id="reserved name"),
        pytest.param("T00:00:00Z", "", "not a moment", id="cut-off without time zone"),
        pytest.param("2026-11-01", "tomorrow", "not a moment", id="cut-off that is no date"),
        pytest.param('pytest = ""', 'pytest = "8"', "shared: pytest: not a specifier", id="bad specifier"),
        pytest.param('"==2.13.0"', '"2.13.0"', "stacks.torch_peft: torch: not a specifier", id="a stack's specifier"),
        pytest.param('"0.19.1"', '"latest"', "one: peft: not a version", id="bad version"),
        pytest.param('{ peft = "0.19.1" }', "{}", "requires nothing", id="no requirements"),
        pytest.param('{ peft = "0.19.1" }', '{ pytest = "8" }', "one: pytest: the row requires", id="shared twice"),
        pytest.param('{ peft = "0.19.1" }', '{ torch = "2" }', "one: torch: the row requires", id="the stack's too"),
        pytest.param('numpy = ""', 'pytest = ""', "jax_stacked: pytest: the stack requires", id="shared with a stack"),
        pytest.param("stacks.jax_stacked", "stacks.jax", "one of torch_peft, jax_stacked; got jax", id="what stack?"),
        pytest.param("stacks.torch_peft", "stacks.jax_stackd", "unknown stack", id="a stack that is none"),
        pytest.param(
            '[stacks.torch_peft]\ntorch = "==2.13.0"', "", "one: the row's stack has no table", id="a stack's table"
        ),
        pytest.param('{ peft = "newest" }', '{ peft = "1" }', "holds a version back", id="pinned newest row"),
        pytest.param("[[cells]]", "[[cells", "cannot be read", id="not TOML"),
        pytest.param('"torch_peft"', '"other"', "unknown value", id="unknown stack"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, good: str, bad: str, words: str) -> None:
    """Each mistake is a CaseError that says where it is; without it the same file loads."""
    assert 2 == len(load_matrix(_write(tmp_path, GOOD)).cells)

    with pytest.raises(CaseError) as raised:
        load_matrix(_write(tmp_path, GOOD.replace(good, bad)))

    assert words in str(raised.value)
    assert "matrix.toml" in str(raised.value)


def test_a_matrix_without_rows_is_a_mistake(tmp_path: Path) -> None:
    """An empty matrix would make every run green."""
    with pytest.raises(CaseError, match="no rows"):
        load_matrix(_write(tmp_path, GOOD.split("[[cells]]")[0].replace("[shared]", "cells = []\n[shared]")))


def test_rows_are_chosen_by_name_in_the_matrixs_order() -> None:
    """No names choose all rows; names choose theirs, whatever their order."""
    matrix = load_matrix(OURS)

    assert matrix.cells == select_cells(matrix)
    assert ["r1", "r3"] == [cell.name for cell in select_cells(matrix, ["r3", "r1"])]


def test_a_row_that_does_not_exist_lists_those_that_do() -> None:
    """An unknown name is the user's mistake, and the answer holds the names there are."""
    with pytest.raises(UsageError) as raised:
        select_cells(load_matrix(OURS), ["r1", "r9"])

    assert "expected one of r1, r2, r3, r4, newest, jax; got 'r9'" in str(raised.value)
