"""The HTML page of a kill matrix: one inert file, legible without script, where every fault can be found."""

from __future__ import annotations

import base64
import hashlib
import re

from harness.records.faults import CHECKS, KillMatrix
from reports.faults import html, view
from reports.pages import anchor
from tests.reports.faults.builders import MATRICES
from tests.reports.test_html_report import Page


def test_nothing_is_fetched_and_nothing_foreign_runs(any_matrix: KillMatrix) -> None:
    """Our script and our style, allowed by their digests; no handler, no inline style, no link that leads out."""
    page = Page(html.render(any_matrix))
    tags = [tag for tag, _ in page.elements]
    assert (1, 1) == (tags.count("script"), tags.count("style"))
    assert not {"iframe", "img", "object", "embed", "base", "video"} & set(tags)
    assert not page.attribute("src") + page.attribute("style")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [link for link in page.attribute("href") if not link.startswith(("#", "data:,"))]
    [policy] = [each for each in page.attribute("content") if "default-src" in each]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
        assert content is not None
        digest = base64.b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_elements_are_closed_and_links_arrive(any_matrix: KillMatrix) -> None:
    """No text can swallow what follows; each fragment has its target, and no id stands twice."""
    page = Page(html.render(any_matrix))
    for tag in ("details", "summary", "section", "table", "dl", "div", "form", "main", "figure", "ul", "a"):
        assert len(re.findall(f"<{tag}[ >]", page.source)) == page.source.count(f"</{tag}>"), tag
    ids = page.attribute("id")
    assert len(ids) == len(set(ids)) or any_matrix is MATRICES["hostile"]  # there all faults have one name
    assert not {link[1:] for link in page.attribute("href") if link.startswith("#")} - set(ids)


def test_hostile_texts_stay_texts() -> None:
    """Markup is shown as it is written, templates are not run, control characters are gone."""
    page = Page(html.render(MATRICES["hostile"]))
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7*7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e\ud800-\udfff]", page.source)


def test_every_fault_has_a_place_a_column_and_a_mark_for_each_check(any_matrix: KillMatrix) -> None:
    """In the picture and in the list; a mark is never colour alone, for those who cannot see it."""
    page = Page(html.render(any_matrix))
    labels = page.attribute("aria-label")
    for fault in any_matrix.faults:
        assert anchor(fault.name) in page.attribute("id")
        assert f"#{anchor(fault.name)}" in page.attribute("href")
    for check in CHECKS:
        for name, mark in view.MARKS.items():
            expected = sum(view.mark_of(fault, check) == name for fault in any_matrix.faults)
            assert expected == labels.count(f"{check}: {mark.says}")


def test_a_missed_fault_says_everything_in_order() -> None:
    """What happened and where, what it is put into, what must name it; then case by case, down to the rerun command."""
    text = Page(html.render(MATRICES["bad"])).text
    text = text[text.index("Fault by fault") :]
    text = text[text.index("rank taken as one") :]
    parts = (
        "What happened A merge passed over one expert.",
        "Seen in unslothai/unsloth-zoo issue 42",
        "Put into what was saved, as rank_taken_as_one",
        "Exists in float32 : bfloat16 rounds it away",
        "by merged as delta_missing by verify as delta_missing",
        "not named qwen3_moe-float32-loop",
        "hit model.layers.1.mlp.experts.2.up_proj.weight",
        "merged FAIL delta_missing experts.up weight_residual_max named",
        "verify FAIL delta_missing experts.up weight_residual_max not named : expected layer 1, got None",
        "deltaproof faults --seed 0 -k 'one_expert_missed and qwen3_moe-float32-loop'",
    )
    text = text.replace(" :", ":").replace(": ", " : ")
    places = [text.index(part.replace(": ", " : ").replace("  ", " ")) for part in parts]
    assert sorted(places) == places


def test_the_numbers_stand_first_with_what_is_missed(any_matrix: KillMatrix) -> None:
    """Headline, exit code, next step; what is missed before the list of all; a check that was not run is said."""
    page = Page(html.render(any_matrix))
    assert page.text.index(view.headline(any_matrix)) < page.text.index("All of it")
    assert ("What is missed" in page.text) == (any_matrix.num_caught < any_matrix.num_faults)
    bad = Page(html.render(MATRICES["bad"])).text
    assert "verify was not run , and must catch it" in bad
    assert "It was put into no case." in bad
    assert "merged clean: FAIL delta_missing" in bad
    assert "not all that is known" in Page(html.render(MATRICES["selection"])).text
    assert "nothing is known of false alarms" in Page(html.render(MATRICES["empty"])).text


def test_the_filters_have_what_they_filter_by() -> None:
    """Each row says how it stands, its area, which checks must catch it, and which of them did not."""
    page = Page(html.render(MATRICES["bad"]))
    rows = {each["id"]: each for tag, each in page.elements if tag == "details" and "data-s" in each}
    row = rows[anchor("norm_eps_by_default")]
    assert ("missed", "loading", "merged verify", "merged") == (
        row["data-s"], row["data-a"], row["data-o"], row["data-b"],
    )  # fmt: skip
    assert "" == rows[anchor("one_expert_missed")]["data-b"]
    assert {"bad", "area", "check", "text"} <= set(page.attribute("name"))


def test_the_page_of_many_faults_stays_small() -> None:
    """135 of them are below a megabyte."""
    assert len(MATRICES["many"].faults) == 135
    assert len(html.render(MATRICES["many"]).encode()) < 1_000_000
