"""The HTML page of canaries: one inert file, legible without script, where each guard of each release can be found."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter

import pytest

from harness.records.canaries import CanaryReport, State
from reports.canaries import html, view
from reports.text import safe_link
from tests.reports.canaries.builders import REPORTS, WRONG, release, report, verdict
from tests.reports.test_html_report import Page


def squares(page: Page) -> list[dict[str, str | None]]:
    """What the picture is made of."""
    return [each for tag, each in page.elements if tag == "a" and (each.get("class") or "").startswith("mark")]


def test_nothing_is_fetched_and_nothing_foreign_runs(any_canaries: CanaryReport) -> None:
    """Our script and our style, allowed by their digests; no handler, no inline style, links to threads alone."""
    page = Page(html.render(any_canaries))
    tags = [tag for tag, _ in page.elements]
    assert (1, 1) == (tags.count("script"), tags.count("style"))
    assert not {"iframe", "img", "object", "embed", "base", "video"} & set(tags)
    assert not page.attribute("src") + page.attribute("style")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    threads = {safe_link(rule.thread) for rule in any_canaries.rules}
    assert {link for link in page.attribute("href") if not link.startswith(("#", "data:,"))} <= threads
    [policy] = [each for each in page.attribute("content") if "default-src" in each]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_elements_are_closed_and_links_arrive(any_canaries: CanaryReport) -> None:
    """No text can swallow what follows; each fragment has its target, and no id stands twice."""
    page = Page(html.render(any_canaries))
    for tag in ("details", "summary", "section", "table", "tr", "td", "th", "dl", "div", "main", "ul", "a", "p"):
        assert len(re.findall(f"<{tag}[ >]", page.source)) == page.source.count(f"</{tag}>"), tag
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    assert not {link[1:] for link in page.attribute("href") if link.startswith("#")} - set(ids)


def test_hostile_texts_stay_texts() -> None:
    """Markup is shown as it is written, templates are not run, control characters are gone, no link is made."""
    page = Page(html.render(REPORTS["hostile"]))
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", page.source)
    assert not [link for link in page.attribute("href") if not link.startswith(("#", "data:,"))]
    assert "https://github.com/unslothai/unsloth-zoo/pull/647" in Page(html.render(REPORTS["good"])).attribute("href")


def test_every_guard_of_every_release_has_a_square_that_leads_to_it(any_canaries: CanaryReport) -> None:
    """With a symbol and a word, so that no square is colour alone, and with why."""
    page = Page(html.render(any_canaries))
    found = squares(page)
    verdicts = view.verdicts_of(any_canaries)
    assert len(verdicts) == len(found)
    assert len({each["href"] for each in found}) == len(verdicts)
    labels = Counter((each["aria-label"] or "").rpartition(": ")[2] for each in found)
    assert Counter(each.state.value for each in verdicts) == labels
    tones = Counter((each["class"] or "").split()[1] for each in found)
    assert Counter(f"t-{view.tone_of(each)}" for each in verdicts) == tones
    for state, number in view.tally(verdicts).items():
        assert page.source.count(f">{view.SYMBOLS[state]}</a>") == number


def test_a_timeline_is_a_grid_with_its_changes() -> None:
    """A row a guard, a column a release, oldest first; what came, broke, was mended, moved or went, newest first."""
    page = Page(html.render(REPORTS["timeline"]))
    text = page.text[page.text.index("All of it") :]
    places = [text.index(part) for part in ("2026.5.1 2026.5.2 2026.5.3", "layout by shape", "exit code 1 0 1")]
    assert sorted(places) == places
    changed = text[text.index("What changed, and when") : text.index("Release by release")]
    parts = (
        "2026.5.3 experts merged on disk gone ● held → ○ absent",
        "2026.5.3 expert count from the model moved ● held → ➜ moved",
        "2026.5.3 layout by shape broke ● held → ✕ broken",
        "2026.5.2 expert count from the model mended ✕ broken → ● held",
        "2026.5.2 layout by shape came ○ absent → ● held",
        "Besides, 1 time a guard that holds was written anew",
    )
    places = [changed.index(part) for part in parts]
    assert sorted(places) == places
    marked = [each for each in squares(page) if "rewritten" in (each["class"] or "")]
    assert ["2026.5.2: held"] == [each["aria-label"] for each in marked]
    assert "other code than in the release before" in text
    single = Page(html.render(REPORTS["states"])).text
    assert "What changed" not in single
    assert "other code than in the release before" not in single


def test_a_guard_that_does_not_hold_says_everything_in_order() -> None:
    """State, why, what was looked at, each wrong call with expected and got, what it is for, thread, rerun command."""
    text = Page(html.render(REPORTS["states"])).text
    text = text[text.index("Release by release") :]
    parts = (
        "unsloth_zoo 2026.10.9", "wheel unsloth_zoo-2026.10.9", "exit 1", "layout by shape", "✕ broken",
        "1 of 27 calls went otherwise", "_layout_by_shape in unsloth_zoo/saving_utils.py, line 120",
        f"{WRONG.call} {WRONG.given} {WRONG.expected} {WRONG.got}", "no experts: layout(0)",
        "Without it: Taken for one another", "https://github.com/unslothai/unsloth-zoo/pull/647",
        "deltaproof canary --package unsloth_zoo --version 2026.10.9 --seed 7 -k layout_by_shape@unsloth_zoo",
        "expert count from the model", "○ absent", "? cannot-tell", "➜ moved", "◍ changed-but-held",
        "known: shards are uploaded first", "mended: declared as broken",
    )  # fmt: skip
    places = [text.index(part) for part in parts]
    assert sorted(places) == places


def test_the_numbers_stand_first(any_canaries: CanaryReport) -> None:
    """Headline, exit code and next step, before the picture."""
    text = Page(html.render(any_canaries)).text
    top = text[: text.index("All of it")]
    assert view.next_step(any_canaries) in top
    assert f"Exit code {any_canaries.exit_code}" in top
    assert ("not all guards" in top) == bool(any_canaries.expression)


def test_the_next_step_leads_to_the_newest_release() -> None:
    """To the first guard that does not hold there; to none where only older releases are amiss."""

    def shown(*states: State) -> list[str]:
        releases = [release(verdict("guard", state), version=str(at)) for at, state in enumerate(states)]
        page = Page(html.render(report(*releases)))
        [text] = re.findall(r"<dt>Next</dt>\s*<dd>(.*?)</dd>", page.source)
        at = {each["href"]: each["aria-label"] or "" for each in squares(page)}
        return [at[link] for link in re.findall(r'href="([^"]+)"', text)]

    assert ["1: broken"] == shown(State.ABSENT, State.BROKEN)
    assert [] == shown(State.BROKEN, State.HELD)


@pytest.mark.parametrize(
    ("number", "says"), [(18, ""), (400, "380 more calls went wrong: all are in the JSON.")], ids=["some", "many"]
)
def test_the_page_is_shortened_where_it_must_and_says_so(number: int, says: str) -> None:
    """A page of 55 releases with 20 guards is below a megabyte; calls are left out before it has two."""
    assert (55, 20) == (len(REPORTS["long"].releases), len(REPORTS["long"].releases[0].verdicts))
    assert len(html.render(REPORTS["long"]).encode()) < 1_000_000
    long = report(release(verdict("guard", State.BROKEN, wrong=(WRONG,) * number)))
    assert says in Page(html.render(long)).text
    assert ("more call" in Page(html.render(long)).text) == bool(says)
    assert min(number, 20) == Page(html.render(long)).text.count(WRONG.call)
    short = Page(html.render(long, limit_bytes=1))
    assert f"{number} more calls went wrong" in short.text
    assert "Expected" not in short.text[short.text.index("Release by release") : short.text.index("The guards")]
