"""Medians, ratios and spread, by hand."""

from __future__ import annotations

import pytest

from bench.rounds import fastest, ratio


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds() -> None:
    """A round that is slow for both changes neither much; one that is slow for one shows in the spread."""
    slow_s, fast_s = (6.0, 60.0, 8.0), (2.0, 20.0, 1.0)
    found = ratio(slow_s, fast_s)
    assert (4.0, 3.0, 8.0) == (found.value, found.low, found.high)


def test_rounds_belong_together() -> None:
    """Another number of rounds on one side is our own mistake."""
    with pytest.raises(ValueError, match="shorter"):
        ratio((1.0, 2.0), (1.0,))


def test_the_fastest_setting_is_that_of_the_lowest_median() -> None:
    """A single fast round does not make it."""
    assert "steady" == fastest({"lucky": (1.0, 9.0, 9.0), "steady": (3.0, 3.0, 4.0)})
