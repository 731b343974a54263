"""The report as one self-contained HTML page: inline style and script, no requests, legible without script.

Everything that comes from the report is cleaned and escaped by the Jinja environment made here; the templates judge
nothing. Knows nothing of the other views.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.history.standing import Standing, label, standing
from harness.records.results import Report, Result
from reports import text, view

TEMPLATES = Path(__file__).with_name("templates")


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


def anchor(result_id: str) -> str:
    """The page's anchor of a result: the same in every run, whatever characters its id has."""
    return "r-" + hashlib.sha256(result_id.encode("utf-8", "replace")).hexdigest()[:12]


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
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    environment.filters |= {
        "number": text.number,
        "times": text.times,
        "duration": text.duration,
        "one_line": text.one_line,
        "clip": text.clip,
        "tail": text.tail,
        "safe_link": text.safe_link,
        "counted": text.counted,
        "anchor": anchor,
        "principal_versions": view.principal_versions,
        "standing": standing,
        "label": label,
    }
    style, script = (TEMPLATES / "style.css").read_text("utf-8"), (TEMPLATES / "script.js").read_text("utf-8")
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
        # Our own two files, and the only markup that is not escaped.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "policy": _policy(style, script),
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


def _clean(value: Any) -> Any:
    """Applied to every value that a template prints, before it is escaped."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    # By digest, not 'unsafe-inline': whatever slipped through the escaping would still not run.
    def digest(content: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
