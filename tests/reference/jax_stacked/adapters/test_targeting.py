"""PEFT's matching rules, and lists that mean exactly what they should by them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.jax_stacked.adapters.targeting import (
    Spec,
    matches,
    pattern_value,
    patterns_for,
    shortest_suffixes,
    suffixes,
)

Q = "model.layers.1.self_attn.q_proj"
PARTS = st.sampled_from(["layers", "0", "1", "mlp", "experts", "gate_proj", "proj", "q"])
# Modules of a model: none is the end of another, since all start with the same part.
NAMES = st.lists(PARTS, min_size=1, max_size=5).map(lambda parts: ".".join(["model", *parts]))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (frozenset({"q_proj"}), True),
        (frozenset({Q}), True),
        (frozenset({"1.self_attn.q_proj"}), True),
        (frozenset({"proj"}), False),
        (frozenset({"self_attn"}), False),
        (frozenset({".*q_proj"}), False),
        (frozenset(), False),
        (r".*\.q_proj", True),
        ("q_proj", False),
        (r"model\.layers\.\d\.self_attn\.[qk]_proj", True),
        (r"model\.layers", False),
    ],
)
def test_lists_mean_dotted_suffixes_and_texts_whole_names(spec: Spec, expected: bool) -> None:
    """A list is no expression, and an expression must match from end to end."""
    assert expected == matches(spec, Q)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ({}, 4),
        ({"q_proj": 2}, 2),
        ({"proj": 2}, 4),
        ({r"layers\.1.*": 3, "q_proj": 2}, 3),
        ({"q_proj": 2, r"layers\.1.*": 3}, 2),
        ({"self_attn.q_proj": 5}, 5),
        ({"^q_proj": 5}, 4),
        ({"^model.layers.1.self_attn.q_proj": 5}, 5),
        ({"[qk]_proj": 6, "q_proj": 7}, 6),
    ],
)
def test_the_first_pattern_that_matches_the_end_of_a_name_counts(patterns: dict[str, int], expected: int) -> None:
    """Patterns are expressions for dotted ends of a name, in the order of the file."""
    assert expected == pattern_value(patterns, Q, 4)


@given(st.sets(NAMES, min_size=1), st.data())
def test_shortest_suffixes_mean_all_that_is_wanted_and_nothing_else(names: set[str], data: st.DataObject) -> None:
    """For any part of any names; and none of them could be shorter."""
    wanted = data.draw(st.sets(st.sampled_from(sorted(names))))

    listed = shortest_suffixes(wanted, names - wanted)

    assert wanted == {name for name in names if matches(frozenset(listed), name)}
    for suffix in listed:
        for shorter in suffixes(suffix)[:-1]:
            assert any(matches(frozenset({shorter}), name) for name in names - wanted)


@given(st.dictionaries(NAMES, st.integers(1, 4), min_size=1))
def test_patterns_say_of_each_name_what_its_value_is(values: dict[str, int]) -> None:
    """Whatever the values and names; the commonest value needs no pattern."""
    default, patterns = patterns_for(values)

    assert values == {name: pattern_value(patterns, name, default) for name in values}
    assert default not in patterns.values()


def test_a_dot_in_a_pattern_is_a_dot() -> None:
    """Patterns are expressions, in which a bare dot would stand for any character."""
    ranks = {"model.x.q": 2, "model.y.q": 4, "model.xzq": 4}

    default, patterns = patterns_for(ranks)

    assert ranks == {name: pattern_value(patterns, name, default) for name in ranks}


def test_a_pattern_of_many_names_is_short() -> None:
    """One entry for a projection of all layers, not one a layer."""
    ranks = {f"model.layers.{layer}.self_attn.{name}_proj": 2 if name == "k" else 4 for layer in "01" for name in "qkv"}

    assert (4, {"k_proj": 2}) == patterns_for(ranks)


def test_suffixes_can_be_made_to_have_more_parts() -> None:
    """For parameters, whose last part says little."""
    assert ["q.weight"] == shortest_suffixes(["model.q.weight"], ["model.norm"], at_least=2)
