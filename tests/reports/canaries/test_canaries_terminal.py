"""Canaries at a terminal: a line a guard, what is wrong in words, and the numbers last."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from harness.records.canaries import CanaryReport
from reports.canaries import terminal
from tests.reports.canaries.builders import REPORTS, WRONG


def printed(shown: CanaryReport, width: int = 140) -> str:
    """As a terminal has it."""
    console = Console(file=io.StringIO(), width=width)
    console.print(terminal.summary(shown))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_state_is_said_with_what_is_wrong() -> None:
    """Why it matters, where it is spoken of, the call with expected and got, and the command."""
    text = printed(REPORTS["states"])
    parts = (
        "✕ layout_by_shape: broken · 1 of 27 calls", "Taken for one another", "pull/647", WRONG.call,
        f"expected {WRONG.expected}; got {WRONG.got}; {WRONG.given}", "○ expert_count_from_the_model: absent",
        "? experts_merged_on_disk: cannot-tell", "➜ fallback_raises: moved",
        "◍ generation_config_saved: changed-but-held",
        "✕ nothing_uploaded_before_the_check: broken", "known: shards are uploaded first", "● held: held", "mended:",
        "again: deltaproof canary --package unsloth_zoo --version 2026.10.9 --seed 7", "✕ 1 held",
        "2 broken · 1 absent · 1 cannot-tell of 7 guards · 1 declared", "exit 1",
    )  # fmt: skip
    places = [text.index(part) for part in parts]
    assert sorted(places) == places


@pytest.mark.parametrize(("name", "symbol"), [("good", "✓"), ("packages", "?"), ("empty", "?"), ("states", "✕")])
def test_the_last_line_has_the_sign_of_the_exit_code(name: str, symbol: str) -> None:
    """What cannot be told is neither good nor bad."""
    assert printed(REPORTS[name]).rstrip().splitlines()[-1].startswith(f"{symbol} ")


def test_a_timeline_is_a_row_a_release() -> None:
    """However many guards and releases: no line is folded, and each column's name stands below."""
    text = printed(REPORTS["timeline"])
    assert "2026.5.1 ○ ✕ ● 1" in text
    assert "2026.5.3 ✕ ➜ ○ 1" in text
    assert "  2 expert_count_from_the_model" in text
    assert "2026.5.2: unsloth_zoo layout_by_shape came (absent → held)" in text
    assert "written" not in text
    long = printed(REPORTS["long"]).splitlines()
    assert 55 == sum(line.split(" ")[0] in {each.version for each in REPORTS["long"].releases} for line in long)


def test_hostile_texts_are_one_line_without_colours() -> None:
    """Nothing of a release moves the cursor or begins a line."""
    for name in ("hostile", "hostile_release"):
        text = printed(REPORTS[name], width=10_000)
        assert "alert" in text
        assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)
        assert not [line for line in text.splitlines() if line.startswith("# heading")]
