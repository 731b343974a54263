"""The report as one self-contained HTML page: inline style and script, no requests, legible without script.

Everything that comes from the report is cleaned and escaped by the environment of `pages`; the templates judge nothing.
Knows nothing of the other views.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from jinja2 import Environment

from harness.history.standing import Standing, label, standing
from harness.records.results import Report, Result
from reports import view
from reports.pages import TEMPLATES, anchor, page_environment


class Detail(NamedTuple):
    """How much of each result the page spells out; the JSON always holds all of it."""

    passing_numbers: bool
    """Whether a passing result lists its checks and measurements."""
    full_per_cause: int
    """How many results of one cause have their whole drill-down; the others say what failed, and how to rerun."""
    num_findings: int
    crash_chars: int
    text_chars: int


DETAILS = (
    Detail(passing_numbers=True, full_per_cause=10_000, num_findings=20, crash_chars=6000, text_chars=1500),
    Detail(passing_numbers=True, full_per_cause=100, num_findings=5, crash_chars=2000, text_chars=800),
    Detail(passing_numbers=False, full_per_cause=30, num_findings=5, crash_chars=1000, text_chars=400),
    Detail(passing_numbers=False, full_per_cause=3, num_findings=2, crash_chars=400, text_chars=200),
)
"""From everything to the least: `render` takes the first with which the page is small enough."""


def render(report: Report, *, limit_bytes: int = 2_000_000) -> str:
    """The page. Results are spelled out as far as `limit_bytes` allows, and the page says where it was shortened."""
    template = _environment(report).get_template("page.html.j2")
    page = ""
    for detail in DETAILS:
        in_full = _in_full(report, detail.full_per_cause)
        page = template.render(detail=detail, in_full=in_full, shortened=detail is not DETAILS[0])
        if len(page.encode("utf-8", "replace")) <= limit_bytes:
            break
    return page


def _in_full(report: Report, per_cause: int) -> frozenset[str]:
    """Ids of the results that are not green and get their whole drill-down: the simplest `per_cause` of each cause."""
    by_cause: dict[tuple[str, str], list[Result]] = {}
    for result in report.results:
        if standing(result) not in (Standing.PASSED, Standing.SKIPPED):
            by_cause.setdefault((result.disposition, view.cause_of(result)), []).append(result)
    return frozenset(
        result.id for group in by_cause.values() for result in sorted(group, key=view.simplicity)[:per_cause]
    )


def _environment(report: Report) -> Environment:
    environment = page_environment(
        TEMPLATES, styles=[TEMPLATES / "style.css"], scripts=[TEMPLATES / "page.js", TEMPLATES / "script.js"]
    )
    environment.filters |= {
        "anchor": anchor,
        "principal_versions": view.principal_versions,
        "standing": standing,
        "label": label,
        "folder": _folder,
    }
    causes = sorted({view.cause_of(each) for each in report.results if standing(each) is not Standing.PASSED})
    environment.globals |= {
        "report": report,
        "view": view,
        "Standing": Standing,
        "clusters": view.clusters(report),
        "grids": view.grids(report),
        "squares": view.by_square(report),
        "tally": view.tally(report.results),
        "cells": {cell.name: cell for cell in report.cells},
        "filters": _filters(report),
        "causes": {cause: index for index, cause in enumerate(causes)},
    }
    return environment


def _filters(report: Report) -> list[tuple[str, str, list[str]]]:
    """(field, title, values) of each choice of the filter bar, but the cause, whose values are numbers."""
    families = sorted({result.family for result in report.results})
    dtypes = sorted({result.dtype for result in report.results})
    forms = [grid.form for grid in view.grids(report)]
    standings = [each.value for each in Standing if any(standing(result) is each for result in report.results)]
    return [
        ("family", "Family", families),
        ("dtype", "Dtype", dtypes),
        ("form", "Form", forms),
        ("standing", "Verdict", standings),
    ]


def _folder(run_id: str) -> str:
    """A run's id as the name of its folder in a link, which leads nowhere else."""
    return re.sub(r"[^\w-]", "_", run_id, flags=re.ASCII)[:100]
