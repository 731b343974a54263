"""Whether the same was computed."""

from __future__ import annotations

from typing import Any

import pytest

from bench.results import difference


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        pytest.param({"one": [[1, 2]], "two": [[1, 2]], "three": [[1, 2]]}, "", id="the same tokens"),
        pytest.param(
            {"one": [[1, 2], [3, 4]], "two": [[1, 2], [3, 4]], "three": [[1, 2], [3, 5]]},
            "the tokens differ: in row 1, new token 1 is 4 and 5 with one and three",
            id="other tokens",
        ),
        pytest.param(
            {"one": [[1, 2]], "two": [[1]]},
            "the tokens differ: there are [2] and [1] with one and two",
            id="fewer tokens",
        ),
        pytest.param({"one": 5.0, "two": 5.0003}, "", id="the same loss"),
        pytest.param({"one": 5.0, "two": 5.01}, "the loss is 5 with one, and 5.01 with two", id="another loss"),
    ],
)
def test_what_differs_is_named(results: dict[str, Any], expected: str) -> None:
    """The first place, and between whom."""
    assert expected == difference(results)
