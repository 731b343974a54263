"""What is made of mutants: the table, the share, and survivors that nobody has given a reason for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutation.results import LISTED, Change, Fate, Listed, Mutant, load_listed, result_of

KL, JUDGE = "harness/metrics/kl.py", "harness/judging/judge.py"
CHANGE = Change(KL, "_ratio", "if signal.value <= 0.0:", "if signal.value < 0.0:")
ROWS = """
[[survivors]]
module = "harness/metrics/.*"
function = "_ratio"
was = "if signal.value <= 0.0:"
now = ["if signal.value < 0.0:", "if signal.value <= 1.0:"]
reason = "a reason"
"""


def listed(tmp_path: Path, text: str = ROWS) -> tuple[Listed, ...]:
    """The rows of a list."""
    (tmp_path / "listed.toml").write_text(text, encoding="utf-8")
    return load_listed(tmp_path / "listed.toml")


def of(fate: Fate, count: int = 1, change: Change = CHANGE) -> list[Mutant]:
    """Mutants of which this became."""
    return [Mutant(change, fate)] * count


KILLED = [*of("killed", 60), *of("timeout", 20), *of("killed", 20, Change(JUDGE, "judge", "", ""))]


def test_the_table_counts_by_module_and_together(tmp_path: Path) -> None:
    """A test that does not end has seen its mutant; one that nothing reaches has survived."""
    found = result_of([*KILLED, *of("survived", 2), *of("no tests", 2)], listed(tmp_path))
    assert found.is_good
    assert (
        "module                     mutants    killed  timeouts  survived     share",
        "harness/judging/judge.py        20        20         0         0    100.0%",
        "harness/metrics/kl.py           84        60        20         4     95.2%",
        "all                            104        80        20         4     96.2%",
    ) == found.lines


@pytest.mark.parametrize(
    ("more", "rows", "complaint"),
    [
        pytest.param(of("survived", 6), ROWS, "94.3% are killed, and 95% are wanted", id="too many"),
        pytest.param(of("survived"), "survivors = []",
                     "survived, and is not listed: harness/metrics/kl.py _ratio: if signal.value <= 0.0:  ->  "
                     "if signal.value < 0.0:", id="not listed"),
        pytest.param(of("no tests"), "survivors = []",
                     "survived, and is not listed: harness/metrics/kl.py _ratio: if signal.value <= 0.0:  ->  "
                     "if signal.value < 0.0:", id="reached by nothing"),
        pytest.param([], ROWS, "is listed, and none survived: ", id="listed, and killed"),
        pytest.param([*of("survived"), *of("unchecked", 3)], ROWS, "3 mutants were not checked: run it again",
                     id="interrupted"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(tmp_path: Path, more: list[Mutant], rows: str, complaint: str) -> None:
    """One line each, and it is no success."""
    found = result_of([*KILLED, *more], listed(tmp_path, rows))
    assert not found.is_good
    assert found.lines[-1].startswith(complaint)
    assert 5 == len(found.lines)


def test_nothing_is_no_success() -> None:
    """A run without mutants has shown nothing."""
    assert not result_of([], ()).is_good


def test_a_run_of_some_modules_does_not_tell_what_is_listed_for_nothing(tmp_path: Path) -> None:
    """A run of all does."""
    assert result_of(KILLED[-20:], listed(tmp_path), is_all=False).is_good
    assert not result_of(KILLED, listed(tmp_path)).is_good


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(CHANGE, True, id="this one"),
        pytest.param(CHANGE._replace(now="if signal.value <= 1.0:"), True, id="the other"),
        pytest.param(CHANGE._replace(now="if signal.value <= 2.0:"), False, id="another change"),
        pytest.param(CHANGE._replace(was="if noise.value <= 0.0:"), False, id="another line"),
        pytest.param(CHANGE._replace(function="measure"), False, id="another function"),
        pytest.param(CHANGE._replace(module=JUDGE), False, id="another module"),
    ],
)
def test_a_row_means_what_it_says(tmp_path: Path, change: Change, expected: bool) -> None:
    """Its module, its function, its line, and what became of that."""
    (row,) = listed(tmp_path)
    assert expected == row.explains(change)


@pytest.mark.parametrize(
    "text",
    ['change = "a"', 'reason = "r"', 'reason = ""\nchange = "a"', 'reason = "r"\nchange = "a"\nlines = "1"'],
    ids=["no reason", "no change", "an empty reason", "an unknown key"],
)
def test_a_row_that_is_not_whole_is_refused(tmp_path: Path, text: str) -> None:
    """Rather than left to explain nothing, or everything."""
    with pytest.raises(TypeError):
        listed(tmp_path, f"[[survivors]]\n{text}")


def test_every_survivor_that_is_listed_has_a_reason() -> None:
    """The list that is used can be read, and is not empty."""
    assert LISTED.is_file()
    assert all(len(row.reason.split()) > 3 for row in load_listed())
    assert load_listed()
