"""The CI summary: failures first and by cause, bounded, and inert whatever the files put into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.records.results import Report, Result
from reports import markdown


def test_failures_come_before_the_tables(sample: Callable[[str], Report]) -> None:
    """The verdict line is first, then one block a cause, then grid, full count, known outcomes and cells."""
    text = markdown.render(sample("failing"))
    places = [
        text.index(part)
        for part in (
            "## ❌ FAIL: 42 of 670 results failed",
            "### ❌ `delta_missing experts 48/48`",
            "### ❌ `config_changed rope_theta`",
            "### ❔ `signal_weak kl_base_trained`",
            "### Adapter (lora)",
            "### At full count",
            "### Known outcomes",
            "### Cells",
        )
    ]
    assert sorted(places) == places
    assert text.count("### ❌") == 4


def test_a_cause_shows_one_example_in_full(sample: Callable[[str], Report]) -> None:
    """A cause names its size, writers, readers, layer, expert, packages, what to do and the rerun command."""
    text = markdown.render(sample("failing"))
    block = text[text.index("### ❌ `delta_missing") : text.index("### ❌ `config_changed")]
    for part in (
        "28 routes · written by r1, r3, r4, newest · read by r2, r3 · lora",
        "1.1e9× over",
        "Last good: delta\\_error\\_ratio\\_max = 5.1e-8",
        "layer 1, expert 5",
        "peft 0.18.1 → 0.19.1",
        "What to do: Save with per-expert tensors",
        "```sh\ndeltaproof run --cells newest,r3 -k 'deepseek_v3-float32-loop@newest>lora>r3'\n```",
    ):
        assert part in block


def test_dialects_and_the_second_stacks_packages_are_shown(sample: Callable[[str], Report]) -> None:
    """In the grid's rows, in the cause's forms, in the rerun command and in the table of cells."""
    text = markdown.render(sample("two_stacks"))
    for part in (
        "1 route · written by jax · read by r1 · lora-swapped",
        "-k 'qwen3_moe-float32-loop@jax>lora-swapped>r1'",
        "| **jax swapped** | ✕ 1 | ✓ 1 | ✓ 1 |",
        "| cell | transformers | peft | trl | jax | jaxlib | flax | optax |",
    ):
        assert part in text


def test_green_says_that_nothing_is_to_do(sample: Callable[[str], Report]) -> None:
    """An all-green run has no failure block, and says so in its first lines."""
    text = markdown.render(sample("green"))
    assert text.startswith("## ✅ PASS: All 670 results hold")
    assert "Nothing to do." in text
    assert "❌" not in text


@pytest.mark.parametrize("limit", [0, 100, 700, 3000, 20_000, 1024 * 1024])
def test_the_limit_holds(any_report: Report, limit: int) -> None:
    """The text never exceeds its limit in bytes, and names what it left out as soon as there is room to."""
    text = markdown.render(any_report, limit_bytes=limit)
    whole = markdown.render(any_report)
    assert len(text.encode()) <= limit
    if limit == 3000 and len(whole.encode()) > limit:
        assert "Left out to stay within 3000 bytes" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<script>", "&lt;script&gt;"),
        ("a | b", "a \\| b"),
        ("`x` *y* _z_ ~w~", "\\`x\\` \\*y\\* \\_z\\_ \\~w\\~"),
        ("[x](http://evil)", "\\[x\\](http:&#47;&#47;evil)"),
        ("@everyone #12", "&#64;everyone \\#12"),
        ("$x$ www.evil.com", "&#36;x&#36; www&#46;evil.com"),
        ("one\r\n# two\x1b[31m\x00", "one \\# two\ufffd"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_texts_are_inert(text: str, expected: str) -> None:
    """Nothing in a text is markup, a mention, a link or a new line."""
    assert expected == markdown.escape(text)


@pytest.mark.parametrize(
    ("text", "expected"), [("a_b", "`a_b`"), ("a|`b", "<code>a\\|\\`b</code>"), ("a\nb", "`a b`"), ("", "")]
)
def test_code_cannot_be_left(text: str, expected: str) -> None:
    """A code span ends where we end it, also in a table."""
    assert expected == markdown.code(text)


def test_a_fence_outlasts_its_content() -> None:
    """A fenced block's fence is longer than any in its text."""
    assert markdown.fence("````\nx") == "`````\n````\nx\n`````"


def test_tables_keep_their_columns(sample: Callable[[str], Report]) -> None:
    """Every row of every table has as many unescaped pipes as its header, hostile texts included."""
    lines = markdown.render(sample("hostile")).split("\n")
    header = 0
    for line in lines:
        if not line.startswith("| "):
            header = 0
            continue
        pipes = line.replace("\\|", "").count("|")
        header = header or pipes
        assert header == pipes


def test_hostile_links_are_not_written(
    make_report: Callable[..., Report], make_result: Callable[..., Result], broken: Callable[..., Result]
) -> None:
    """Only plain web addresses become links."""
    for link, expected in (("javascript:alert(1)", False), ("https://example.org/1", True)):
        report = make_report([broken(make_result(), "delta_missing experts 48/48", known_link=link)])
        assert expected == ("issue: <" in markdown.render(report))


def test_who_checks_the_checker_is_said_where_it_is_known(sample: Callable[[str], Report]) -> None:
    """The newest kill matrix of the same folder, as the last word; else none."""
    text = markdown.render(sample("failing"))
    said = text[text.index("### Who checks the checker") :]
    assert "❌ 97 of 110 known bugs caught and named, 0 false alarms in 54 clean runs · 2026-11-21T23:27:50Z" in said
    assert "· seed 4 · `faults-20261121T232750-8fac`" in said
    assert "of those that match" in markdown.render(sample("hostile"))
    assert "Who checks the checker" not in markdown.render(sample("green"))
