"""The kill matrix as one self-contained HTML page: fault × check as a picture, what is missed, a list that opens.

Everything that comes from the matrix is cleaned and escaped by the environment of `pages`; the templates judge nothing.
The style is that of a run's page, with what the matrix needs. Knows nothing of the other views.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment

from harness.records.faults import CHECKS, KillMatrix
from reports.faults import view
from reports.pages import TEMPLATES as RUN_TEMPLATES
from reports.pages import anchor, page_environment
from reports.verification.names import patterns
from reports.view import EXIT_CODES, principal_columns

TEMPLATES = Path(__file__).with_name("templates")
MAX_HITS = 12
"""Patterns of names that a case says it hit."""


def render(matrix: KillMatrix) -> str:
    """The page."""
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            matrix=matrix,
            areas=view.areas(matrix),
            by_check=view.by_check(matrix),
            tally=view.tally(matrix.faults),
            bad=[fault for fault in matrix.faults if view.standing_of(fault) != "named"],
            alarms=[control for control in matrix.controls if control.alarms],
            packages=principal_columns(matrix.versions.values()),
        )
    )


def _environment() -> Environment:
    environment = page_environment(
        TEMPLATES,
        styles=[folder / "style.css" for folder in (RUN_TEMPLATES, TEMPLATES)],
        scripts=[RUN_TEMPLATES / "page.js", TEMPLATES / "script.js"],
    )
    environment.filters |= {
        "anchor": anchor,
        "standing": view.standing_of,
        "standing_of_case": view.standing_of_case,
        "troubles": view.troubles,
        "dtypes": view.dtypes_of,
        "owed_kinds": view.owed_kinds,
        "patterns": patterns,
    }
    environment.globals |= {
        "view": view,
        "mark_of": view.mark_of,
        "CHECKS": CHECKS,
        "EXIT_CODES": EXIT_CODES,
        "MAX_HITS": MAX_HITS,
        "TONES": {"named": "passed", "caught": "inconclusive", "missed": "failed"},
    }
    return environment
