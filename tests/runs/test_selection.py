"""`-k`: the grammar, and what is said of a mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ExitCode, UsageError
from harness.runs.selection import parse

IDS = (
    "qwen3-float32-loop@r1",
    "qwen3-float32-loop@r1>lora>r3",
    "qwen3_moe-bfloat16-loop@r1>merged>r1",
    "qwen3_moe-float32-trl@r10",
)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        pytest.param("", {0, 1, 2, 3}, id="nothing is everything"),
        pytest.param("   ", {0, 1, 2, 3}, id="blanks"),
        pytest.param("lora", {1}, id="a word is part of an id"),
        pytest.param("r3", {1}, id="a reader"),
        pytest.param("qwen3_moe", {2, 3}, id="a family"),
        pytest.param("not qwen3_moe", {0, 1}, id="not"),
        pytest.param("not not lora", {1}, id="not not"),
        pytest.param("lora or trl", {1, 3}, id="or"),
        pytest.param("float32 and loop", {0, 1}, id="and"),
        pytest.param("trl or float32 and lora", {1, 3}, id="and binds tighter than or"),
        pytest.param("(trl or float32) and lora", {1}, id="parentheses"),
        pytest.param("not (trl or lora)", {0, 2}, id="not of parentheses"),
        pytest.param("not trl and not lora", {0, 2}, id="not binds tighter than and"),
        pytest.param("((lora))", {1}, id="nested"),
        pytest.param("not(lora)or(lora)", {0, 1, 2, 3}, id="no blanks around parentheses"),
        pytest.param("qwen3-float32-loop@r1", {0}, id="a whole id is itself alone"),
        pytest.param("qwen3-float32-loop@r1>lora>r3", {1}, id="a route"),
        pytest.param("qwen3_moe-float32-trl@r1", set(), id="not the beginning of one"),
        pytest.param("LORA", set(), id="case matters"),
        pytest.param("order", set(), id="a word that begins with or"),
        pytest.param("nothing-like-it", set(), id="no match"),
    ],
)
def test_expressions(expression: str, expected: set[int]) -> None:
    """Words joined by or, and, not and parentheses, over ids; an id with its @ is exact."""
    matches = parse(expression)
    assert expected == {index for index, identity in enumerate(IDS) if matches(identity)}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        pytest.param("and", "a word is missing before 'and'", id="and alone"),
        pytest.param("a and", "a word is missing before 'the end'", id="and at the end"),
        pytest.param("a or or b", "a word is missing before 'or'", id="or twice"),
        pytest.param("not", "a word is missing before 'the end'", id="not alone"),
        pytest.param("(a", "a closing parenthesis is missing before 'the end'", id="open"),
        pytest.param("(a b)", "a closing parenthesis is missing before 'b'", id="two words in parentheses"),
        pytest.param("a)", "unexpected ')'", id="closed"),
        pytest.param("()", "a word is missing before ')'", id="empty parentheses"),
        pytest.param("a b", "unexpected 'b'", id="two words"),
        pytest.param("a not b", "unexpected 'not'", id="not between words"),
    ],
)
def test_what_cannot_be_read_is_a_usage_error(expression: str, words: str) -> None:
    """It says what is wrong, where, the expression, and what can be written; exit 2."""
    with pytest.raises(UsageError) as raised:
        parse(expression)
    assert words in str(raised.value)
    assert expression in str(raised.value)
    assert "and, or, not and parentheses" in str(raised.value)
    assert ExitCode.USAGE == raised.value.exit_code


@given(st.lists(st.sampled_from(["and", "or", "not", "(", ")", "lora", "r1", "case@r1"])))
def test_any_words_are_read_or_refused(words: list[str]) -> None:
    """Never another exception, and what is read answers with a truth value."""
    try:
        matches = parse(" ".join(words))
    except UsageError:
        return
    assert matches("case@r1") in (True, False)
