"""Fields of a configuration are taken once, agree in all their spellings, and none is left over."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ArtifactError
from reference.jax_stacked.fields import NOT_COMPUTED_WITH, REQUIRED, Fields


def fields(**config: Any) -> Fields:
    """Of a configuration that is called `config.json`."""
    return Fields(config, "config.json")


@pytest.mark.parametrize(
    ("config", "default", "expected"),
    [
        ({"size": 3}, REQUIRED, 3),
        ({"width": 3}, REQUIRED, 3),
        ({"size": 3, "width": 3}, REQUIRED, 3),
        ({"size": None}, 5, 5),
        ({}, 5, 5),
        ({}, None, None),
        ({"size": 0}, 5, 0),
        ({"size": False}, True, False),
    ],
    ids=["first name", "second name", "both", "null", "absent", "absent, and may be", "zero", "off"],
)
def test_a_field_is_found_by_any_of_its_names(config: dict[str, Any], default: Any, expected: Any) -> None:
    """Null and absent mean the default; zero and false are values."""
    taken = fields(**config)

    assert expected == taken.take("size", "width", default=default)
    taken.finish()


@pytest.mark.parametrize("values", [(3, 4), (3, None), (None, 4)], ids=str)
def test_spellings_that_disagree_are_refused(values: tuple[Any, Any]) -> None:
    """Both are named with their values: null says something else than a number."""
    with pytest.raises(ArtifactError) as raised:
        fields(size=values[0], width=values[1]).take("size", "width")

    assert f"size = {values[0]!r}, width = {values[1]!r}" in str(raised.value)


@pytest.mark.parametrize("config", [{}, {"size": None}], ids=["absent", "null"])
def test_a_field_that_is_needed_and_missing_is_named(config: dict[str, Any]) -> None:
    """With the place where it was looked for."""
    with pytest.raises(ArtifactError, match=r"config\.json: field 'size' is missing"):
        fields(**config).take("size")


def test_what_nobody_took_is_an_error() -> None:
    """All such fields are named, in order; those taken, ignored or computing nothing are not."""
    left = fields(zeta=1, alpha=2, size=3, torch_dtype="float32", own=4)
    assert "torch_dtype" in NOT_COMPUTED_WITH
    left.take("size")

    with pytest.raises(ArtifactError, match="unknown fields: alpha, zeta"):
        left.finish(frozenset({"own"}))


def test_peeking_takes_nothing() -> None:
    """Whoever only looked at a field has not answered for it."""
    peeked = fields(size=3)
    assert 3 == peeked.peek("size")
    assert peeked.peek("width") is None

    with pytest.raises(ArtifactError, match="unknown fields: size"):
        peeked.finish()


def test_a_table_has_fields_of_its_own() -> None:
    """What nobody took of it is an error that says in which table it stands."""
    outer = fields(rope={"kind": "linear", "zeta": 1})
    inner = outer.table("rope")
    assert inner is not None
    assert "linear" == inner.take("kind")
    outer.finish()

    with pytest.raises(ArtifactError, match=r"config\.json: rope: unknown fields: zeta"):
        inner.finish()


def test_a_table_may_be_absent_and_must_be_a_table() -> None:
    """Null is absent."""
    assert fields().table("rope") is None
    assert fields(rope=None).table("rope") is None
    with pytest.raises(ArtifactError, match=r"field 'rope' is no table.*'linear'"):
        fields(rope="linear").table("rope")


def test_only_some_values_are_supported() -> None:
    """Another one is refused with the field, what is supported and what was asked for."""
    assert "silu" == fields(act="silu").only("act", "silu", "relu")
    assert fields().only("act", "silu", None) is None
    with pytest.raises(ArtifactError, match=r"field 'act' asks for .* expected 'silu' or 'relu'; got 'mish'"):
        fields(act="mish").only("act", "silu", "relu")
