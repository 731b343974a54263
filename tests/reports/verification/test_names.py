"""Patterns of names: exactly the names given, however few patterns say them."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.verification.names import numbers_said, patterns

EXPERTS = [f"model.layers.{layer}.mlp.experts.{expert}.gate_proj.weight" for layer in range(12) for expert in (5, 17)]


def expanded(text: str) -> list[str]:
    """Every name that a pattern stands for."""
    pieces = [_choices(piece) for piece in re.split(r"(\{.*?\})", text)]
    return ["".join(chosen) for chosen in itertools.product(*pieces)]


def _choices(piece: str) -> list[str]:
    if not piece.startswith("{"):
        return [piece]
    found = []
    for choice in piece[1:-1].split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)", choice)
        found += [str(number) for number in range(int(ends[1]), int(ends[2]) + 1)] if ends else [choice]
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["lm_head.weight"], ["lm_head.weight"], id="one"),
        pytest.param(EXPERTS, ["model.layers.{0-11}.mlp.experts.{5,17}.gate_proj.weight"], id="a product"),
        pytest.param(
            [f"layers.0.{name}_proj.weight" for name in ("q", "k", "v")], ["layers.0.{k,q,v}_proj.weight"], id="words"
        ),
        pytest.param(["a.norm.weight", "a.q_norm.weight"], ["a.{norm,q_norm}.weight"], id="no empty choice"),
        pytest.param(
            ["e.0.0", "e.0.1", "e.0.2", "e.1.0", "e.1.2"], ["e.0.{0-2}", "e.1.{0,2}"], id="a layer that lacks one"
        ),
        pytest.param(["e.0.1", "e.1.0"], ["e.0.1", "e.1.0"], id="a diagonal is no product"),
        pytest.param(["e.007", "e.7"], ["e.007", "e.7"], id="other spellings of a number are words"),
        pytest.param(["x", "x"], ["x"], id="the same name twice"),
        pytest.param(["a.b", "a.b.c"], ["a.b", "a.b.c"], id="names of two lengths"),
    ],
)
def test_names_become_few_patterns(names: list[str], expected: list[str]) -> None:
    """Each stands for a product of layers, experts and words, in the order of the first names."""
    assert expected == [pattern.text for pattern in patterns(names)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"), st.integers(0, 4), st.sampled_from(["q_proj", "k_proj", "norm"]), st.integers(0, 3)
        )
        | st.tuples(st.sampled_from("ab"), st.integers(0, 2)),
        max_size=40,
    )
)
def test_patterns_are_exact(parts: list[tuple[object, ...]]) -> None:
    """Expanded, they are the names that were given, each once, and their counts say so."""
    names = [".".join(map(str, part)) for part in parts]
    found = patterns(names)
    assert sorted(set(names)) == sorted(name for pattern in found for name in expanded(pattern.text))
    assert [pattern.num_names for pattern in found] == [len(expanded(pattern.text)) for pattern in found]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([3], "3"),
        ([1, 0], "0,1"),
        ([2, 0, 1], "0-2"),
        ([0, 1, 2, 4, 7, 8, 9], "0-2,4,7-9"),
        (range(0, 40, 2), "0,2,4,6,8,10,12,14,… 12 more"),
    ],
)
def test_numbers_are_ranges(numbers: list[int], expected: str) -> None:
    """Three in a row are one; what is left out is counted."""
    assert expected == numbers_said(numbers)


def test_words_are_few() -> None:
    """A pattern of a thousand words names some, and counts the rest."""
    [pattern] = patterns(f"a.word{number}x" for number in range(1000))
    assert 1000 == pattern.num_names
    assert "992 more" in pattern.text
    assert len(pattern.text) < 200


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["." * 100_000, "." * 100_000 + "x"], id="dots"),
        pytest.param([f"{'9' * 5000}.{number}" for number in range(2000)], id="huge numbers"),
        pytest.param([f"m.{layer}.e.{e}.{p}" for layer in range(94) for e in range(128) for p in "gud"], id="many"),
        pytest.param([f"m.{number * 7919 % 10007}.e.{number}" for number in range(10_000)], id="many without order"),
    ],
)
def test_no_names_take_long(names: list[str]) -> None:
    """Neither a stranger's nor those of the largest model."""
    started = time.process_time()
    assert len(set(names)) == sum(pattern.num_names for pattern in patterns(names))
    assert time.process_time() - started < 10
