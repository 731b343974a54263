"""What the views share: clusters, aggregates, factors, links."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import get_args

import pytest

from harness.history.standing import Standing, label, standing
from harness.records.results import Check, Disposition, Report, Result, VerdictName
from reports import text, view

GREEN = {("PASS", "none"), ("PASS", "new")}


@pytest.mark.parametrize("verdict", get_args(VerdictName))
@pytest.mark.parametrize("disposition", get_args(Disposition))
def test_only_a_pass_is_green(
    make_result: Callable[..., Result], verdict: VerdictName, disposition: Disposition
) -> None:
    """Of all verdicts and dispositions only a plain PASS passes; fixed and expired ones count as failures."""
    result = make_result()
    result = dataclasses.replace(
        result,
        judgement=dataclasses.replace(result.judgement, verdict=verdict),
        disposition=disposition,
    )
    assert ((verdict, disposition) in GREEN) == (standing(result) is Standing.PASSED)
    if disposition in ("fixed", "expired"):
        assert standing(result) is Standing.FAILED
        assert disposition.upper() == label(result)
    if disposition == "known":
        assert not standing(result).counts


def test_results_cluster_by_cause(sample: Callable[[str], Report]) -> None:
    """Every result that counts is in one cluster; the gravest and largest cluster is first, the untold last."""
    report = sample("failing")
    found = view.clusters(report)
    assert sum(standing(result).counts for result in report.results) == sum(len(each.results) for each in found)
    assert "delta_missing experts 48/48" == found[0].cause
    assert Standing.INCONCLUSIVE is found[-1].standing


def test_the_simplest_example_is_shown(
    make_report: Callable[..., Report], make_result: Callable[..., Result], broken: Callable[..., Result]
) -> None:
    """Of one cause the example is a write before a route, and a route in one cell before one across two."""
    across = broken(make_result(writer="r1", reader="r2"), "x")
    within = broken(make_result(writer="r2", reader="r2"), "x")
    write = broken(make_result(writer="r4", form=""), "x")
    assert within == view.clusters(make_report([across, within]))[0].example
    assert write == view.clusters(make_report([across, within, write]))[0].example


def test_a_square_shows_its_worst(sample: Callable[[str], Report]) -> None:
    """The square r1 → r3 leads with its failures; one whose only blemish is a skip is green and says how many."""
    grid = next(grid for grid in view.grids(sample("failing")) if grid.form == "lora")
    squares = {(square.writer, square.reader): square for _, row in grid.rows for square in row}
    worst, skipped = squares["r1", "r3"].tally, squares["r2", "r3"].tally
    assert worst is not None and skipped is not None
    assert (Standing.FAILED, "7/10") == (worst.leading, worst.share)
    assert (Standing.PASSED, "9/10") == (skipped.leading, skipped.share)


def test_a_writer_of_several_dialects_has_a_row_for_each(sample: Callable[[str], Report]) -> None:
    """Each with its own tally, in the dialects' order; its own way has one too where anybody read it."""
    report = sample("two_stacks")
    lora, merged = (next(grid for grid in view.grids(report) if grid.form == form) for form in ("lora", "merged"))
    assert ["r1", "r2", "jax", "jax standard", "jax swapped", "jax per_expert"] == [name for name, _ in lora.rows]
    assert ["r1", "r2", "jax"] == [name for name, _ in merged.rows]
    failed = [
        (square.route, square.key)
        for _, row in lora.rows
        for square in row
        if square.tally and square.tally.leading is Standing.FAILED
    ]
    assert [("jax swapped → r1", "jax>lora-swapped>r1")] == failed
    assert {1} == {square.tally.total for _, row in lora.rows for square in row if square.tally}
    only_experts = dataclasses.replace(report, results=[each for each in report.results if "moe" in each.family])
    names = [name for grid in view.grids(only_experts) if grid.form == "lora" for name, _ in grid.rows]
    assert ["r1", "r2", "jax standard", "jax swapped", "jax per_expert"] == names


def test_a_cause_names_form_and_dialect(sample: Callable[[str], Report]) -> None:
    """Both in one word, as the ids have them."""
    (cluster,) = view.clusters(sample("two_stacks"))
    assert (("lora-swapped",), ("jax",), ("r1",)) == (cluster.forms, cluster.writers, cluster.readers)


def test_only_packages_that_a_cell_has_make_a_column(sample: Callable[[str], Report]) -> None:
    """Those of the second stack where one of its rows was run, and not elsewhere."""
    torch_peft, jax = ("transformers", "peft", "trl"), ("jax", "jaxlib", "flax", "optax")
    for name, expected in (("green", torch_peft), ("two_stacks", (*torch_peft, *jax))):
        tables = [view.principal_versions(cell) for cell in sample(name).cells]
        assert expected == view.principal_columns(tables)
    assert {"jax": "0.10.2", "jaxlib": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"} == view.principal_versions(
        sample("two_stacks").cells[2]
    )


def test_squares_of_an_unbuilt_cell_say_so(sample: Callable[[str], Report]) -> None:
    """A missing square is told from one whose cell is missing."""
    for grid in view.grids(sample("unbuilt")):
        for writer, row in grid.rows:
            assert all(not square.built for square in row if "r4" in (writer, square.reader))
            assert all(square.built and square.tally for square in row if "r4" not in (writer, square.reader))


@pytest.mark.parametrize(
    ("relation", "value", "tolerance", "expected"),
    [
        ("at_most", 3.0, 1.0, 3.0),
        ("at_most", 0.5, 1.0, 0.5),
        ("at_most", 1.0, 0.0, None),
        ("at_most", 0.0, 0.0, None),
        ("at_least", 0.5, 1.0, 2.0),
        ("at_least", 0.0, 1.0, None),
        ("at_most", -1.0, 1.0, None),
        ("equals", 2.0, 3.0, None),
        ("at_most", None, 1.0, None),
        ("at_most", 1.0, None, None),
    ],
)
def test_times_over(relation: str, value: float | None, tolerance: float | None, expected: float | None) -> None:
    """How many times over a tolerance is a ratio in the direction of the check, where there is one."""
    check = Check(
        name="n",
        verdict="FAIL",
        metric="m",
        value=value,
        tolerance=tolerance,
        relation=relation,  # type: ignore[arg-type]
        carries=True,
        message="",
        num_compared=1,
    )
    assert expected == view.excess(check)


def test_a_failure_that_resembles_a_known_one_says_so(
    make_report: Callable[..., Report], make_result: Callable[..., Result], broken: Callable[..., Result]
) -> None:
    """A new failure with the cause of a known one points at it; with another cause it does not."""
    known = broken(make_result(), "config_changed rope_theta", disposition="known", known="theta")
    alike = broken(make_result(writer="r2"), "config_changed rope_theta")
    other = broken(make_result(writer="r4"), "delta_missing experts 1/48")
    report = make_report([known, alike, other])
    assert known == view.resembles(report, alike)
    assert view.resembles(report, other) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (18432.0, "18432"),
        (0.9996, "0.9996"),
        (1.6e-5, "1.6e-5"),
        (1e-9, "1e-9"),
        (2.5e12, "2.5e12"),
        (0.0, "0"),
        (3.14159, "3.142"),
        (math.inf, "∞"),
    ],
)
def test_numbers_have_the_digits_that_matter(value: float, expected: str) -> None:
    """Counts are whole, small numbers have two digits and an exponent, and 0.9996 does not become 1."""
    assert expected == text.number(value)


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://github.com/huggingface/peft/issues/1", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("JaVaScript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("//example.org", False),
        ("https:///path", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_links_are_web_addresses(url: str, safe: bool) -> None:
    """Whatever is not a plain http or https address is no link."""
    assert safe == bool(text.safe_link(url))
