"""The HTML page: one inert file without script, that says everything, and stays small for the largest model."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from harness.verify.report import Verdict, VerifyReport
from reports.verification import html
from reports.verification.advice import KINDS
from tests.reports.verification import builders
from tests.reports.verification.any_report import REPORTS

COMMAND = "deltaproof verify --base base --adapter adapter --merged 'my merged' --html page.html"
VOID = {"meta", "link", "br", "input"}
SAMPLES: dict[str, Callable[[], VerifyReport]] = {
    "clean": builders.clean,
    "lost": builders.one_lost_expert,
    "layer": builders.one_wrong_layer,
    "packing": lambda: builders.wrong_packing(12, 128),
    "alone": builders.adapter_alone,
    "nothing": lambda: builders.report(Verdict.INCONCLUSIVE, ()),
    "hostile": builders.hostile,
}


class Page(HTMLParser):
    """The page as a browser reads it: elements with attributes, texts, and that each element is closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert [] == self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of a picture that holds nothing."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """The innermost element ends."""
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        """What is read of it."""
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(" ".join(self.texts).split())

    @property
    def style(self) -> str:
        """What its one style holds."""
        [style] = re.findall("<style>(.*?)</style>", self.source, re.DOTALL)
        return str(style)

    def attribute(self, name: str) -> list[str]:
        """The values of an attribute."""
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]

    def classes(self, beginning: str) -> set[str]:
        """The classes that begin so."""
        return {each for value in self.attribute("class") for each in value.split() if each.startswith(beginning)}


@cache
def page(name: str) -> Page:
    """The page of a sample, rendered once."""
    return Page(html.render(SAMPLES[name](), command=COMMAND))


def assert_inert(found: Page) -> None:
    """Nothing is loaded, nothing runs, no inline style, no link but into the page."""
    tags = [tag for tag, _ in found.elements]
    assert 1 == tags.count("style")
    assert set() == {"script", "iframe", "img", "object", "embed", "base", "video", "form", "image", "use"} & set(tags)
    for name in ("src", "style", "action", "xlink:href"):
        assert [] == found.attribute(name)
    assert [] == [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert {"data:,"} == {link for link in found.attribute("href") if not link.startswith("#")}
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", found.source)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_page_is_inert(name: str) -> None:
    """Whatever the report holds."""
    assert_inert(page(name))


@given(REPORTS)
@settings(max_examples=40)
def test_any_report_is_an_inert_page(report: VerifyReport) -> None:
    """With its verdict and its command."""
    found = Page(html.render(report, command=COMMAND))
    assert_inert(found)
    assert report.verdict in found.text
    assert COMMAND in found.text


def test_the_policy_allows_our_style_alone() -> None:
    """By its digest, and nothing else: no script at all."""
    [policy] = [each for each in page("packing").attribute("content") if "default-src" in each]
    digest = base64.b64encode(hashlib.sha256(page("packing").style.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'" == policy
    )


def test_hostile_names_are_shown_as_they_are_written() -> None:
    """Markup and templates of a stranger are text, in headline, findings, pictures and tables."""
    text = page("hostile").text
    assert text.count("<script>alert(1)</script>") > 8
    assert "{{ 7*7 }}" in text
    assert "<img src=x>" in text


def test_a_hostile_command_is_text() -> None:
    """A directory may be called anything, and the command that reruns names it."""
    found = Page(html.render(builders.clean(), command=f"deltaproof verify --base '{builders.HOSTILE}  x'"))
    assert_inert(found)
    assert "<script>alert(1)</script>" in found.text


@pytest.mark.parametrize("name", SAMPLES)
def test_links_into_the_page_arrive(name: str) -> None:
    """Each fragment link has its target, and no id stands twice."""
    ids = page(name).attribute("id")
    assert len(ids) == len(set(ids))
    assert set() == {link[1:] for link in page(name).attribute("href") if link.startswith("#")} - set(ids)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_colour_and_mark_has_a_style(name: str) -> None:
    """A class that the style does not know would be an invisible cell."""
    style = page(name).style
    for each in page(name).classes("t-") | page(name).classes("m-"):
        assert f".{each} {{" in style
    for pattern in re.findall(r"url\(#([\w-]+)\)", style):
        assert pattern in page(name).attribute("id")


def test_a_failure_is_told_in_order() -> None:
    """Verdict, counts, findings with advice, the picture, the distribution, what was read, the command."""
    text = page("packing").text
    parts = (
        "WRONG_LAYOUT",
        "4608 of 4608 expert weights have the delta of another packing",
        "4608 attempted: 0 applied, 4608 fallback",
        "What was found",
        "×4608",
        "model.layers.{0-11}.mlp.experts.{0-127}.{down,gate,up}_proj.weight",
        KINDS["delta_wrong_packing"].advice,
        "Where it is",
        "wrong: something else",
        "gate 1536 wrong",
        "self_attn.q_proj",
        "How much of it",
        "What was read",
        "/models/merged",
        COMMAND,
    )
    places = [text.index(part) for part in parts]
    assert sorted(places) == places


def test_a_cell_is_never_colour_alone() -> None:
    """What is not right has a mark and a title, and each picture a sentence for those who cannot see it."""
    found = page("lost")
    assert {"m-missing"} == found.classes("m-")
    assert any("experts.5.gate_proj.weight: missing, recovered 0" in text for text in found.texts)
    assert any(label.endswith("23 applied, 1 missing") for label in found.attribute("aria-label"))
    assert set() == page("clean").classes("m-")


def test_the_legend_says_what_occurs() -> None:
    """Colours and marks of this report, and no others."""
    assert "none of it (0)" in page("lost").text
    assert "none of it (0)" not in page("clean").text
    assert "wrong: something else" not in page("lost").text


def test_an_adapter_alone_has_no_distribution() -> None:
    """Its map says what it adapts; nothing is said to be missing or compared."""
    found = page("alone")
    assert "What it adapts" in found.text
    assert "1 with a zero delta, 23 adapted" in found.text
    for words in ("How much of it", "could not be compared", "missing", "passthrough"):
        assert words not in found.text


def test_a_group_lists_its_first_findings() -> None:
    """The page says how many there are; the JSON holds them."""
    assert "The first 40 of 4608" in page("packing").text
    assert "All 28" in page("layer").text


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(lambda: builders.report(seen=builders.sites(94, 128)), id="clean"),
        pytest.param(lambda: builders.wrong_packing(94, 128), id="all wrong"),
        pytest.param(lambda: builders.report(Verdict.WRONG_VALUES, _speckled()), id="no two neighbours alike"),
    ],
)
def test_the_largest_model_makes_a_small_page(report: Callable[[], VerifyReport]) -> None:
    """94 layers × 128 experts × 3 are below 4 MB, and made in seconds."""
    made = report()
    started = time.process_time()
    text = html.render(made, command=COMMAND)
    assert len(text.encode()) < 4_000_000
    assert time.process_time() - started < 20


def _speckled() -> tuple[builders.SiteSeen, ...]:
    """Right, wrong and missing by turns."""
    found = builders.changed(builders.sites(94, 128), builders.wrong, lambda each: (each.expert or 0) % 3 == 1)
    return builders.changed(found, builders.missing, lambda each: (each.expert or 0) % 3 == 2)
