"""Tests of shape expressions."""

from __future__ import annotations

import pytest

from harness.checkpoints.shapes import size
from harness.errors import CaseError

CONFIG = {"heads": 4, "head_dim": 16, "zero": 0, "yes": True, "name": "x"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [(7, 7), ("heads", 4), ("heads * (head_dim - 6) + 1", 41), ("head_dim // 3", 5)],
)
def test_expressions_of_fields_are_evaluated(expression: str | int, expected: int) -> None:
    """Names, whole numbers, + - * // and brackets mean what they mean in Python."""
    assert expected == size(expression, CONFIG, where="here")


@pytest.mark.parametrize(
    "expression",
    ["lost", "yes", "name", "heads / 2", "heads ** 2", "1.5", "f(heads)", "heads.real", "heads +", "", "heads // zero",
     "-heads", "heads - 4", "__import__('os')"],
)  # fmt: skip
def test_everything_else_is_refused_with_its_place(expression: str) -> None:
    """No other Python can be written in a shape, and the error says where it stands."""
    with pytest.raises(CaseError, match="here"):
        size(expression, CONFIG, where="here")
