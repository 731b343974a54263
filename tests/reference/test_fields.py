"""Configuration fields, compared as every stack compares them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from harness.checkpoints.configs import get
from harness.records.jobs import FieldValue
from reference.fields import compare_fields

DECLARED = {"rope_theta": 300, "rope_parameters": {"rope_theta": 300}, "tie": False, "dtype": "float32"}
ALIASES = {"rope_theta": ("rope_parameters.rope_theta",), "tie": ()}


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param({"rope_theta": 300, "tie": False}, ("300.0", "false"), id="as declared"),
        pytest.param({"rope_theta": 300.0, "tie": False}, ("300.0", "false"), id="as another kind of number"),
        pytest.param({"rope_parameters": {"rope_theta": 300}, "tie": False}, ("300.0", "false"), id="elsewhere"),
        pytest.param({"rope_theta": 10000, "tie": True}, ("10000.0", "true"), id="with other values"),
        pytest.param(
            {"rope_theta": 1, "rope_parameters": {"rope_theta": 300}, "tie": 0}, ("1.0", "0.0"), id="the first counts"
        ),
        pytest.param({"rope_parameters": None}, ("null", "null"), id="nowhere"),
    ],
)
def test_a_field_is_looked_for_under_each_of_its_names(held: dict[str, Any], expected: tuple[str, str]) -> None:
    """In the order of the names, numbers as numbers, flags as flags; what is nowhere is null."""
    theta, tie = expected
    assert (
        FieldValue(name="rope_theta", expected="300.0", got=theta),
        FieldValue(name="tie", expected="false", got=tie),
    ) == compare_fields(DECLARED, ALIASES, partial(get, held))
