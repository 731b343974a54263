"""The histogram of the recovered delta, and its table: every weight is counted once, right ones apart from others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.verify.report import SiteSeen
from reports.verification.distribution import TICKS, histogram, state_rows
from tests.reports.verification import builders


def recovering(*values: float | None) -> list[SiteSeen]:
    """Wrong weights with this much of their delta."""
    found = builders.site("a.weight", layer=None)
    return [replace(found, state="wrong", recovered=value) for value in values]


def test_one_lost_expert_stands_beside_thousands() -> None:
    """Two bins: those at 1, right, and the three at 0, not right; heights on a scale of logarithms."""
    found = histogram(builders.one_lost_expert(12, 128).sites)
    assert found is not None
    assert [(10, 0, 3), (30, 4654, 0)] == [(each.index, each.num_right, each.num_others) for each in found.bins]
    assert 1.0 == found.bins[1].right_height
    assert 0.1 < found.bins[0].others_height < 0.2
    assert [1, 10, 100, 1000] == [level.count for level in found.levels]
    assert ["recovered 0: 3 not right", "recovered 1: 4654 right"] == [each.title for each in found.bins]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-0.5, 0), (-7.0, 0), (0.0, 10), (0.024, 10), (0.026, 11), (1.0, 30), (2.5, 60), (1e300, 60)],
)
def test_each_value_has_its_bin(value: float, expected: int) -> None:
    """Around each multiple of 0.05; what lies beyond the ends is in the last."""
    found = histogram(recovering(value))
    assert found is not None
    assert [expected] == [each.index for each in found.bins]
    assert expected < found.num_bins


def test_what_was_not_recovered_is_left_out_and_counted() -> None:
    """A zero delta, what could not be compared, and numbers that are none."""
    found = histogram(recovering(None, float("nan"), float("inf"), 1.0))
    assert found is not None
    assert (3, 1) == (found.num_left_out, len(found.bins))
    assert histogram(recovering(None)) is None
    assert histogram([]) is None


def test_the_axis_names_bins_that_exist() -> None:
    """0 is none of it, 1 all of it, 2 twice."""
    assert {0: "≤ -0.5", 10: "0 none", 20: "0.5", 30: "1 all", 40: "1.5", 50: "2 twice", 60: "≥ 2.5"} == dict(TICKS)


def test_states_are_told_in_words() -> None:
    """Gravest first, with their numbers, the ends of what was recovered and all wrong elements."""
    wrong, applied = state_rows(builders.one_wrong_layer().sites)
    assert ("wrong", "something else", 28) == wrong[:3]
    assert f"{28 * (builders.ELEMENTS - 77)} of {28 * builders.ELEMENTS}" == wrong.wrong_elements
    assert ("applied", 57, f"0 of {57 * builders.ELEMENTS}") == (applied.state, applied.num, applied.wrong_elements)
    assert " to " in wrong.recovered
    [single] = state_rows(recovering(0.5))
    assert "0.5" == single.recovered
    [untold] = state_rows(recovering(None))
    assert ("", "0.002049") == (untold.recovered, untold.residual) or untold.recovered == ""
