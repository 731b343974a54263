"""Canaries as one self-contained HTML page: guard × release as a picture, what does not hold, release by release.

Everything that comes from a release is cleaned and escaped by the environment of `pages`; the templates judge nothing.
The style is that of a run's page, with what the picture needs. Knows nothing of the other views.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment

from harness.records.canaries import CanaryReport
from reports.canaries import view
from reports.pages import TEMPLATES as RUN_TEMPLATES
from reports.pages import anchor, page_environment
from reports.view import EXIT_CODES

TEMPLATES = Path(__file__).with_name("templates")
MOST_WRONG = (20, 5, 1, 0)
"""Calls that went wrong, of each guard, from the most to the least: `render` takes the first that the limit allows."""

MANY_RELEASES = 36
"""More than these have smaller squares, so that all are seen at once."""


def render(report: CanaryReport, *, limit_bytes: int = 2_000_000) -> str:
    """The page. Wrong calls are spelled out as far as `limit_bytes` allows; the page says how many it leaves out."""
    template = _environment(report).get_template("page.html.j2")
    page = ""
    for most in MOST_WRONG:
        page = template.render(max_wrong=most)
        if len(page.encode("utf-8", "replace")) <= limit_bytes:
            break
    return page


def _environment(report: CanaryReport) -> Environment:
    environment = page_environment(
        TEMPLATES,
        styles=[folder / "style.css" for folder in (RUN_TEMPLATES, TEMPLATES)],
        scripts=[RUN_TEMPLATES / "page.js"],
    )
    environment.filters |= {"tone": view.tone_of, "release_tone": view.tone_of_release, "place": _place}
    environment.globals |= {
        "report": report,
        "view": view,
        "packages": view.packages(report),
        "rules": view.rules_of(report),
        "tally": view.tally(view.verdicts_of(report)),
        "troubles": view.troubles(report),
        "newest": [package.releases[-1] for package in view.packages(report)],
        "events": view.events(report),
        "num_rewritten": len(report.changes) - len(view.events(report)),
        "any_rewritten": any(
            square.is_rewritten
            for package in view.packages(report)
            for _, row in view.squares(package)
            for square in row
        ),
        "EXIT_CODES": EXIT_CODES,
        "MANY_RELEASES": MANY_RELEASES,
    }
    return environment


def _place(package: str, version: str, rule: str = "") -> str:
    """The anchor of a release, or of a guard in it."""
    return anchor("\n".join((package, version, rule)))
