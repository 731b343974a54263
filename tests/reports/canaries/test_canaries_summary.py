"""Canaries on a CI's summary page: the numbers first, bounded, and inert whatever the texts hold."""

from __future__ import annotations

import re

import pytest

from harness.records.canaries import CanaryReport
from reports.canaries import markdown, view
from tests.reports.canaries.builders import REPORTS


def test_what_is_wrong_comes_before_the_tables_of_all() -> None:
    """Numbers, each guard that does not hold with its rerun command, then all guards."""
    text = markdown.render(REPORTS["states"])
    parts = (
        "## ❌ unsloth\\_zoo 2026.10.9: 3 of 7 guards hold, 1 known to be broken",
        "1 held, 1 changed-but-held, 1 moved, 2 broken, 1 absent, 1 cannot-tell",
        "exit 1 (a check failed or errored)",
        "**Next:** Do not build on what is broken",
        "### ❌ `layout_by_shape` is broken in unsloth\\_zoo 2026.10.9",
        "<https://github.com/unslothai/unsloth-zoo/pull/647>",
        "- looked at: \\_layout\\_by\\_shape in unsloth\\_zoo/saving\\_utils.py, line 120",
        "expected `['standard', 2]`, got `['swapped', 2]`",
        "--seed 7 -k layout_by_shape@unsloth_zoo",
        "### ❌ `expert_count_from_the_model` is absent",
        "### ❔ `experts_merged_on_disk` is cannot-tell",
        "<details><summary>✕ unsloth\\_zoo 2026.10.9",
        "| `fallback_raises` | ➜ moved |",
        "| `nothing_uploaded_before_the_check` | ✕ broken, known |",
    )
    places = [text.index(part) for part in parts]
    assert sorted(places) == places
    assert "### ❌ `nothing_uploaded" not in text


def test_good_says_so() -> None:
    """And what it is about, where it is not about all guards."""
    text = markdown.render(REPORTS["good"])
    assert text.startswith("## ✅ unsloth\\_zoo 2026.10.9: 5 of 6 guards hold, 1 known to be broken")
    assert "Nothing to do." in text
    assert "❌" not in text
    assert "only what matches" not in text
    assert "only what matches `experts and not saved`" in markdown.render(REPORTS["selection"])
    assert markdown.render(REPORTS["packages"]).startswith("## ❔ 3 packages")


def test_a_timeline_has_a_line_a_guard() -> None:
    """What changed, then a character a release; of older releases only the tables."""
    text = markdown.render(REPORTS["timeline"])
    assert "| unsloth\\_zoo 2026.5.2 | `layout_by_shape` | came | absent → held |" in text
    assert "\nlayout_by_shape             ○●✕\nexpert_count_from_the_model ✕●➜\n" in text
    assert "is broken in unsloth\\_zoo 2026.5.3" in text
    assert "is broken in unsloth\\_zoo 2026.5.1" not in text
    assert "| `expert_count_from_the_model` | ✕ broken |" in text
    assert "| `layout_by_shape` | ○ absent, not expected |" in text


@pytest.mark.parametrize("limit", [0, 700, 3000, 1024 * 1024])
def test_the_limit_holds(any_canaries: CanaryReport, limit: int) -> None:
    """What does not fit is left out by whole blocks, and named as soon as there is room to."""
    text = markdown.render(any_canaries, limit_bytes=limit)
    assert len(text.encode()) <= limit
    if limit == 3000 and len(markdown.render(any_canaries).encode()) > limit:
        assert "Left out to stay within 3000 bytes" in text


def test_all_that_is_said_fits_the_page_of_a_ci() -> None:
    """55 releases of 20 guards are far below the megabyte that a step may write."""
    assert len(markdown.render(REPORTS["long"]).encode()) < 300_000
    assert 1100 == len(view.verdicts_of(REPORTS["long"]))


@pytest.mark.parametrize("name", ["hostile", "hostile_release"])
def test_a_strangers_texts_are_inert(name: str) -> None:
    """No markup, mention or link in them works, and every row keeps its columns."""
    text = markdown.render(REPORTS[name])
    outside = re.sub(r"^(````+)\w*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "alert" in outside
    assert not re.search(r"<script>|(?<!\\)\[x|@all", outside)
    header = 0
    for line in text.split("\n"):
        pipes = line.replace("\\|", "").count("|") if line.startswith("| ") else 0
        header = (header or pipes) if pipes else 0
        assert header == pipes
