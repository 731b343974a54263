"""Groups of findings: alike ones are one, and what is said of them all is true of each."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.verify.records import Finding, Severity
from reports.verification.grouping import grouped
from tests.reports.verification import builders


def finding(message: str, **fields: object) -> Finding:
    """An error of some kind."""
    return Finding(**{"kind": "delta_missing", "severity": "error", "message": message, **fields})  # type: ignore[arg-type]


def messages(*texts: str) -> list[str]:
    """What the groups of findings with these messages say."""
    return [group.message for group in grouped(finding(text) for text in texts)]


def test_128_experts_that_fail_alike_are_one_group() -> None:
    """With its size, a pattern of their names, and the message that they share."""
    [group] = grouped(builders.wrong_packing(12, 128).findings)
    [pattern] = group.names
    assert ("model.layers.{0-11}.mlp.experts.{0-127}.{down,gate,up}_proj.weight", 4608) == pattern
    assert ("delta_wrong_packing", "error", 4608) == (group.kind, group.severity, group.size)
    assert "holds the delta as it is when lora_B is read grouped by expert" == group.message
    assert ("rank_major", "grouped_by_expert") == (group.expected, group.got)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(("half of 12 rows", "half of 40 rows"), ["half of {12,40} rows"], id="whole numbers"),
        pytest.param(("0.5 of it", "-0.25 of it", "1e-3 of it"), ["{-0.25 … 0.5} of it"], id="a range"),
        pytest.param(("row 3, of 8", "row 4, of 8"), ["row {3,4}, of 8"], id="a number that all share stays"),
        pytest.param(("is float32", "is float16"), ["is float32", "is float16"], id="digits of a word are the word"),
        pytest.param(("w1 lost", "w2 lost"), ["w1 lost", "w2 lost"], id="and of a name"),
        pytest.param(("is 2D", "is 3D"), ["is 2D", "is 3D"], id="also before it"),
        pytest.param(("rows 0 to 3, 7", "rows 5"), ["rows …"], id="lists of other lengths"),
        pytest.param(("at [1, 2]", "at [7, 2]"), ["at [{1,7}, 2]"], id="pairs"),
        pytest.param(("layers.3.mlp", "layers.4.mlp"), ["layers.{3,4}.mlp"], id="numbers in names"),
        pytest.param(("a\0b 1", "a\0b 2"), ["a b {1,2}"], id="a zero byte"),
    ],
)
def test_numbers_are_generalised(texts: tuple[str, ...], expected: list[str]) -> None:
    """Where only numbers differ, one message says them all; where words do, they stay apart."""
    assert expected == messages(*texts)


def test_a_single_finding_keeps_its_words() -> None:
    """Nothing is generalised from one."""
    [group] = grouped([finding("a.7.weight is in 2 files", tensor="a.7.weight")])
    assert "a.7.weight is in 2 files" == group.message


def test_names_in_messages_do_not_part_them() -> None:
    """A message that begins with its tensor's name is the same message of another tensor."""
    [group] = grouped(finding(f"{name} is in 2 files", tensor=name) for name in ("norm.weight", "head.weight"))
    assert "the tensor is in 2 files" == group.message
    assert ["{head,norm}.weight"] == [pattern.text for pattern in group.names]


def test_what_differs_in_words_is_counted() -> None:
    """Of values that cannot be said as one, the first stands for all, and the number of the others is told."""
    [group] = grouped(finding("changed", got=value) for value in ("float32", "float16", "int8"))
    assert "float32 (and 2 others)" == group.got


@pytest.mark.parametrize("order", [("note", "warning", "error"), ("warning", "error", "note")])
def test_errors_come_first(order: tuple[Severity, ...]) -> None:
    """Then warnings, then notes; within one severity in the order of the findings."""
    found = [finding(text, severity=severity) for severity in order for text in ("first", "second")]
    expected = [(severity, text) for severity in ("error", "warning", "note") for text in ("first", "second")]
    assert expected == [(group.severity, group.message) for group in grouped(found)]


def test_kinds_and_severities_are_kept_apart() -> None:
    """The same words of another kind are another finding."""
    found = [finding("x"), finding("x", kind="passthrough_changed"), finding("x", severity="warning"), finding("x")]
    assert [2, 1, 1] == [group.size for group in grouped(found)]


NUMBERS = st.integers(0, 30).map(str) | st.floats(-2, 2).map("{:.3g}".format)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=12))
def test_a_range_holds_every_number(values: list[tuple[str, str]]) -> None:
    """Each finding's numbers lie in the braces of its group's message."""
    groups = grouped(finding(f"is {first} of it, at {second}") for first, second in values)
    assert 1 == len(groups)
    for place, said in enumerate(re.match(r"is (.*) of it, at (.*)$", groups[0].message).groups()):  # type: ignore[union-attr]
        ends = [float(end) for end in re.findall(r"(?<!\d)-?\d[\d.]*(?:e-?\d+)?", said)]
        for value in values:
            assert min(ends) <= float(value[place]) <= max(ends)


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_text_is_grouped(texts: list[str]) -> None:
    """Nothing is lost, whatever a stranger's messages and values are."""
    found = [finding(text, tensor=text, expected=text, got=text[::-1]) for text in texts]
    assert len(texts) == sum(group.size for group in grouped(found))
