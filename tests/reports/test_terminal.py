"""The terminal summary: the same facts, and no control character from a file reaches the terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from rich.console import Console

from harness.records.results import Report
from reports import terminal


def _print(report: Report, **options: object) -> str:
    console = Console(file=io.StringIO(), width=120, **options)  # type: ignore[arg-type]
    console.print(terminal.summary(report))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_summary_says_what_a_reader_needs(sample: Callable[[str], Report]) -> None:
    """Grid, full count, causes with their rerun command, and the verdict as the last thing."""
    text = _print(sample("failing"))
    for part in (
        "merged: writer ↓ reader →",
        "18432 / 18432",
        "✕ delta_missing experts 48/48",
        "28 routes, written by r1, r3, r4, newest, read by r2, r3 (lora)",
        "deltaproof run --cells newest,r3 -k 'deepseek_v3-float32-loop@newest>lora>r3'",
    ):
        assert part in text
    assert text.index("✕ FAIL 42 of 670 results failed") > text.index("✕ delta_missing")


def test_dialects_are_rows_of_the_grid(sample: Callable[[str], Report]) -> None:
    """Named in full, and in the words on the cause."""
    text = _print(sample("two_stacks"))
    assert re.search(r"jax per_expert +✓ 1 +✓ 1 +✓ 1", text)
    assert "1 route, written by jax, read by r1 (lora-swapped)" in text


def test_a_plain_stream_gets_plain_text(any_report: Report) -> None:
    """Without a terminal there is no escape sequence, and none from a file either."""
    text = _print(any_report)
    assert "\x1b" not in text
    assert "\x07" not in text


def test_markup_in_a_text_is_text(sample: Callable[[str], Report]) -> None:
    """Brackets of a file's text are printed, not interpreted."""
    assert "[x](javascript:alert(1))" in _print(sample("hostile"), force_terminal=False)
