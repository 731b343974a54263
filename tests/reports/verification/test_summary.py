"""The terminal's text: verdict first, alike findings as one, what to do, and nothing that acts on a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from hypothesis import given, settings
from rich.console import Console

from harness.verify.records import Finding, Severity
from harness.verify.report import Verdict, VerifyReport
from reports.verification import terminal
from reports.verification.advice import AFTER, KINDS
from tests.reports.verification import builders
from tests.reports.verification.any_report import REPORTS

COMMAND = "deltaproof verify --base base --adapter adapter --merged 'my merged'"


def said(report: VerifyReport, *, coloured: bool = False) -> str:
    """What a reader sees, or what a terminal gets."""
    system = "standard" if coloured else None
    console = Console(
        file=io.StringIO(), width=132, soft_wrap=True, force_terminal=coloured, color_system=system, no_color=False
    )
    console.print(terminal.summary(report, command=COMMAND))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def many(num: int, severity: Severity = "error") -> list[Finding]:
    """Findings of which no two are alike."""
    words = [f"{first}{second}" for first in "abcdefgh" for second in "abcdefgh"]
    return [Finding(kind="config_mismatch", severity=severity, message=f"{word} differs") for word in words[:num]]


def test_all_of_a_failure_in_order() -> None:
    """Verdict, counts, findings, what to do, what it took, the command."""
    lines = said(builders.wrong_packing(12, 128)).splitlines()
    headline = "the adapter went in under another layout: 4608 of 4608 expert weights have the delta of another packing"
    assert [
        f"WRONG_LAYOUT  {headline} (layers 0-11)",
        "  tensors      4657 targeted: 49 matched, 0 unchanged, 4608 wrong",
        "  experts      4608 attempted: 0 applied, 4608 fallback",
        "  passthrough  27 compared: 27 identical",
        "  layout       fused standard, packing rank_major",
        "✕ delta_wrong_packing ×4608  model.layers.{0-11}.mlp.experts.{0-127}.{down,gate,up}_proj.weight",
        "    holds the delta as it is when lora_B is read grouped by expert",
        "    expected rank_major, got grouped_by_expert",
        "",
        f"what to do: {AFTER[Verdict.WRONG_LAYOUT]}",
        f"  delta_wrong_packing: {KINDS['delta_wrong_packing'].advice}",
        "",
        "7.8 GiB read in 2.3 s (3.4 GiB per second)",
        COMMAND,
    ] == lines


def test_a_clean_verdict_is_short() -> None:
    """One line, counts, nothing to do."""
    text = said(builders.clean())
    assert text.startswith("CONTAINS  all of the adapter is in /models/merged, and nothing else changed\n")
    assert "what to do: Nothing to do." in text
    assert "✕" not in text
    assert text.endswith(f"{COMMAND}\n")


def test_warnings_of_a_clean_verdict_are_seen() -> None:
    """In the first line, as findings, and with their advice."""
    warning = Finding(kind="merge_rounding", severity="warning", message="less exact", tensor="a.weight")
    text = said(replace(builders.clean(), findings=(warning,)))
    assert "(1 warning)" in text.splitlines()[0]
    assert "! merge_rounding  a.weight\n    less exact" in text
    assert KINDS["merge_rounding"].advice in text


def test_only_so_many_groups_are_shown() -> None:
    """Twelve, and how many more there are."""
    text = said(builders.report(Verdict.INCOMPLETE, findings=many(15)))
    assert 12 == text.count("✕ config_mismatch")
    assert "and 3 more groups: --json has all" in text
    assert "more group" not in said(builders.report(Verdict.INCOMPLETE, findings=many(12)))


@pytest.mark.parametrize(("num", "shown"), [(3, True), (4, False)])
def test_notes_are_shown_while_they_are_few(num: int, shown: bool) -> None:
    """And counted beyond that."""
    text = said(replace(builders.clean(), findings=tuple(many(num, "note"))))
    assert (num if shown else 0) == text.count("· config_mismatch")
    assert shown == (f"{num} notes, which --json has" not in text)


def test_notes_ask_for_nothing() -> None:
    """What is only noted has no advice."""
    assert KINDS["config_mismatch"].advice not in said(replace(builders.clean(), findings=tuple(many(1, "note"))))


def test_only_so_many_names_are_shown() -> None:
    """Three patterns, those of most names first, and the number of the others."""
    tensors = ["a.0.1", "a.1.0", "b.0", "c.0.x.1", "c.0.x.2", "c.0.x.3", "z.z.z"]
    found = [Finding(kind="delta_missing", severity="error", message="gone", tensor=name) for name in tensors]
    text = said(builders.report(Verdict.PARTIAL, findings=found))
    assert "✕ delta_missing ×7  c.0.x.{1-3}, a.0.1, a.1.0 and 2 more" in text


def test_only_so_much_is_advised() -> None:
    """Four kinds, and the names of the others."""
    kinds = ("delta_missing", "passthrough_changed", "config_mismatch", "tokenizer_changed", "index_mismatch")
    found = [Finding(kind=kind, severity="error", message="x") for kind in kinds]
    text = said(builders.report(Verdict.WRONG_VALUES, findings=found))
    assert KINDS["tokenizer_changed"].advice in text
    assert KINDS["index_mismatch"].advice not in text
    assert "and for index_mismatch: --html says it" in text


@pytest.mark.parametrize(
    ("report", "colour"),
    [(builders.clean(), "32"), (builders.one_lost_expert(), "31"), (builders.report(Verdict.INCONCLUSIVE), "33")],
    ids=["good", "bad", "open"],
)
def test_the_verdict_has_its_colour(report: VerifyReport, colour: str) -> None:
    """Green, red or yellow at a terminal, and the word itself for those who see none."""
    assert said(report, coloured=True).startswith(f"\x1b[1;{colour}m{report.verdict}\x1b[0m")


def test_hostile_names_are_text() -> None:
    """Brackets stay brackets; no escape sequence, bell or turn of direction reaches the terminal."""
    text = said(builders.hostile(), coloured=True)
    assert "[red]x[/red]" in text
    for act in ("\x1b[31mgnp", "\x07", "\u202e", "\ud800"):
        assert act not in text


@given(REPORTS)
@settings(max_examples=50)
def test_any_report_can_be_shown(report: VerifyReport) -> None:
    """In the verdict's own words, without one control character."""
    text = said(report)
    assert text.startswith(f"{report.verdict}  ")
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert COMMAND in text
