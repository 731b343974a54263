"""The kill matrix on a CI's summary page: the numbers first, bounded, and inert whatever the texts hold."""

from __future__ import annotations

import re

import pytest

from harness.records.faults import KillMatrix
from reports.faults import markdown
from tests.reports.faults.builders import MATRICES


def test_what_is_wrong_comes_before_the_tables_of_all() -> None:
    """Numbers, false alarms, areas and checks, each missed fault with its rerun command, then fault by fault."""
    text = markdown.render(MATRICES["bad"])
    places = [
        text.index(part)
        for part in (
            "## ❌ 1 of 6 known bugs caught and named, 1 false alarm in 2 clean runs",
            "1 named, 1 caught and not named, 4 missed · seed 0 · exit 1 (a check failed or errored)",
            "### ❌ False alarms",
            "- `clean`, seed 1: merged clean: FAIL delta\\_missing",
            "| loading | 1 | 0 | 0 | 1 |",
            "| merged | 5 | 3 | 0 | 2 | 0 |",
            "### ❌ `norm_eps_by_default` is missed",
            "- merged, bfloat16: PASS: not caught",
            "deltaproof faults --seed 0 -k 'one_expert_missed and qwen3_moe-bfloat16-loop'",
            "### ❌ `rank_taken_as_one` is not named",
            "<details><summary>merging: 4 faults</summary>",
            "| `one_expert_missed` | ○ | · | ● | ● | float32 |",
            "### Versions",
        )
    ]
    assert sorted(places) == places


def test_good_says_that_nothing_is_to_do() -> None:
    """And what of all faults it is about, where it is not all."""
    text = markdown.render(MATRICES["good"])
    assert text.startswith("## ✅ 2 of 2 known bugs caught and named, no false alarm in 2 clean runs")
    assert "Nothing to do." in text
    assert "❌" not in text
    assert "only what matches" not in text
    assert "only what matches `one_expert and float32`" in markdown.render(MATRICES["selection"])


@pytest.mark.parametrize("limit", [0, 700, 3000, 1024 * 1024])
def test_the_limit_holds(any_matrix: KillMatrix, limit: int) -> None:
    """What does not fit is left out by whole blocks, and named as soon as there is room to."""
    text = markdown.render(any_matrix, limit_bytes=limit)
    assert len(text.encode()) <= limit
    if limit == 3000 and len(markdown.render(any_matrix).encode()) > limit:
        assert "Left out to stay within 3000 bytes" in text


def test_a_strangers_texts_are_inert() -> None:
    """No markup, mention or link in them works, and every row keeps its columns."""
    text = markdown.render(MATRICES["hostile"])
    outside = re.sub(r"^(````+)sh\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "````sh" in text
    assert "alert" in outside
    assert not re.search(r"<script>|(?<!\\)\[x|@all", outside)
    header = 0
    for line in text.split("\n"):
        pipes = line.replace("\\|", "").count("|") if line.startswith("| ") else 0
        header = (header or pipes) if pipes else 0
        assert header == pipes
