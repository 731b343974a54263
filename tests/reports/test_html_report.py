"""The HTML page: one inert file that says everything without script, and stays small."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from harness.records.results import Report
from reports import html, view

VOID = {"meta", "link", "br", "rect", "input"}


class Page(HTMLParser):
    """The page as a reader sees it: elements with attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.source = text
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def attribute(self, name: str) -> list[str]:
        return [attributes[name] or "" for _, attributes in self.elements if name in attributes]


@pytest.fixture(scope="module")
def page(sample: Callable[[str], Report]) -> Callable[[str], Page]:
    """The page of a sample report, rendered once."""
    made: dict[str, Page] = {}

    def build(name: str) -> Page:
        if name not in made:
            made[name] = Page(html.render(sample(name)))
        return made[name]

    return build


def test_nothing_is_fetched_and_nothing_foreign_runs(any_name: str, page: Callable[[str], Page]) -> None:
    """No element loads anything, no handler or inline style exists, and there is exactly our script and our style."""
    found = page(any_name)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 1
    assert tags.count("style") == 1
    assert not {"iframe", "img", "object", "embed", "base", "video"} & set(tags)
    assert not found.attribute("src")
    assert not found.attribute("style")
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]


def test_the_policy_names_our_script_and_style(page: Callable[[str], Page]) -> None:
    """The Content-Security-Policy allows nothing but the two inline texts, by their digests."""
    text = page("failing").source
    policy = next(each for each in page("failing").attribute("content") if "default-src" in each)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_texts_stay_texts(page: Callable[[str], Page]) -> None:
    """Markup from a file is shown as it is written, links of other schemes are not links, templates are not run."""
    found = page("hostile")
    assert "<script>alert(1)</script>" in found.text
    assert "{{ 7*7 }}" in found.text
    links = [link for link in found.attribute("href") if not link.startswith(("#", "https://", "data:,"))]
    assert all(re.fullmatch(r"\.\./[\w-]+/faults\.html", link) for link in links)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", found.source)


def test_elements_are_closed(any_name: str, page: Callable[[str], Page]) -> None:
    """Every details, section and table that opens also closes, so that no text can swallow what follows."""
    text = page(any_name).source
    for tag in ("details", "summary", "section", "table", "dl", "div", "form", "main", "body", "pre", "ul"):
        assert len(re.findall(f"<{tag}[ >]", text)) == text.count(f"</{tag}>"), tag


def test_every_link_into_the_page_arrives(any_name: str, page: Callable[[str], Page]) -> None:
    """Each fragment link has its target, and no id stands twice."""
    ids = page(any_name).attribute("id")
    assert len(ids) == len(set(ids))
    assert not {link[1:] for link in page(any_name).attribute("href") if link.startswith("#")} - set(ids)


@pytest.mark.parametrize("name", ["green", "failing", "unbuilt", "all_broken", "hostile"])
def test_the_page_stays_small(page: Callable[[str], Page], name: str) -> None:
    """Some 700 results are below 2 MB, even if all of them fail; a page that was shortened says so."""
    text = page(name).source
    assert len(text.encode()) < 2_000_000
    assert (name == "all_broken") == ("some results are shortened" in text)


def test_every_result_is_there(any_name: str, any_report: Report, page: Callable[[str], Page]) -> None:
    """Each result has its own place, however the page was shortened."""
    ids = set(page(any_name).attribute("id"))
    assert not {html.anchor(result.id) for result in any_report.results} - ids


def test_a_failure_shows_everything_in_order(sample: Callable[[str], Report], page: Callable[[str], Page]) -> None:
    """The drill-down follows the order in which one asks, down to the rerun command."""
    text = page("failing").text
    text = text[text.index("What broke") : text.index("The grid")]
    example = view.clusters(sample("failing"))[0].example
    parts = (
        "What failed the trained delta of 48 of 48 expert projections",
        "Is it new? New",
        "How far off KL ratio",
        "1.1e9× over",
        "Last good delta_error_ratio_max = 5.1e-8",
        "First to diverge: model.layers.0.mlp",
        "layer 1 · expert 5 · model.layers.1.mlp.experts.5.down_proj.weight",
        "Which packages changed",
        "Likely cause",
        "What to do",
        f"Run it again {example.rerun}",
        "seed 1",
    )
    places = [text.index(part) for part in parts]
    assert sorted(places) == places


def test_the_banner_is_the_verdict(any_name: str, any_report: Report, page: Callable[[str], Page]) -> None:
    """Verdict, headline and exit code with its meaning stand before anything else."""
    text = page(any_name).text
    place = text.index(f"{any_report.exit_code} , {view.EXIT_CODES[any_report.exit_code]}")
    assert place < text.index("every writer (row)")
    assert any_report.verdict in text[:place]


def test_an_unbuilt_cell_shows_the_builders_words(page: Callable[[str], Page]) -> None:
    """The grid marks the cell, and the resolver's own words are on the page."""
    text = page("unbuilt").text
    assert "trl==1.16.0 depends on transformers>=5.20" in text
    assert "r4: its environment could not be built" in text
    assert text.count("not built") >= 18


def test_dialects_have_rows_and_squares_of_their_own(
    page: Callable[[str], Page], sample: Callable[[str], Report]
) -> None:
    """Each square leads to its own results, which say in which dialect the adapter was; jax's packages are shown."""
    shown = page("two_stacks")
    labels = shown.attribute("aria-label")
    assert "jax swapped → r1, lora: 1 failed" in labels
    assert "jax standard → r1, lora: 1 passed" in labels
    squares = [square for grid in view.grids(sample("two_stacks")) for _, row in grid.rows for square in row]
    assert {html.anchor(square.key) for square in squares if square.tally} <= set(shown.attribute("id"))
    assert "form lora-swapped" in shown.text
    assert "jaxlib" in shown.text
    assert "jaxlib" not in page("green").text


def test_a_square_is_never_colour_alone(page: Callable[[str], Page]) -> None:
    """Each square of the grid has a symbol, a count and a sentence for those who cannot see either."""
    labels = [label for label in page("failing").attribute("aria-label") if " → " in label]
    assert len(labels) == 50
    assert "r1 → r3, lora: 7 failed, 1 skipped, 2 passed" in labels


def test_who_checks_the_checker_is_said_where_it_is_known(page: Callable[[str], Page]) -> None:
    """The newest kill matrix of the same folder: its numbers, date and seed, and the way to its page; else no word."""
    found = page("failing")
    text = found.text[found.text.index("Who checks the checker") :]
    assert "97 of 110 faults were caught and named, with 0 false alarms in 54 clean runs." in text
    assert "2026-11-21T23:27:50Z · seed 4" in text
    assert "not of all faults" not in text
    assert "../faults-20261121T232750-8fac/faults.html" in found.attribute("href")
    assert "not of all faults: -k" in page("hostile").text
    assert "Who checks the checker" not in page("green").text
