"""A verification as one self-contained HTML page: inline style, no script, no requests, light and dark.

Everything that comes from the report is cleaned and escaped by the environment of `pages`; the templates judge nothing.
The style is that of a run's page, with what pictures need. Knows nothing of the other views.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment

from harness.verify.report import VerifyReport
from reports import text
from reports.pages import TEMPLATES as RUN_TEMPLATES
from reports.pages import page_environment
from reports.verification import advice, cells, distribution, maps, tones, words
from reports.verification.grouping import grouped

TEMPLATES = Path(__file__).with_name("templates")
MAX_GROUPS = 60
MAX_FINDINGS = 40
"""Of one group, and of its names."""
MAX_LABEL = 40
CHARACTER = 7
"""Pixels of one in a label, about."""


class Frame(NamedTuple):
    """How large a map is drawn, in pixels."""

    cell_width: int
    cell_height: int
    left: int
    """For the names of rows."""
    row_step: int
    """Every how many rows are named."""
    column_step: int
    top: int = 20
    """For the numbers of columns."""

    @classmethod
    def of(cls, drawn: maps.Map) -> Frame:
        """As large as fits on a page, and as small as can still be seen."""
        num_rows, num_columns = len(drawn.row_labels), len(drawn.column_labels)
        width = min(max(1050 // num_columns, 2), 26)
        height = next(size for size, most in ((16, 16), (10, 40), (6, num_rows)) if num_rows <= most)
        longest = max(len(text.one_line(label, MAX_LABEL)) for label in drawn.row_labels)
        return cls(
            cell_width=width,
            cell_height=height,
            left=CHARACTER * longest + 10,
            row_step=_step(height, 12),
            column_step=_step(width, CHARACTER * max(map(len, drawn.column_labels)) + 6),
        )


def render(report: VerifyReport, *, command: str) -> str:
    """The page; `command` reruns the verification."""
    names = tones.NAMES_OF_ADAPTER if report.merged is None else tones.NAMES
    template = _environment().get_template("page.html.j2")
    return template.render(
        report=report,
        command=command,
        groups=grouped(report.findings),
        experts=maps.expert_maps(report.sites, names),
        modules=maps.module_maps(report.sites, names),
        names=names,
        outside=cells.outside(report.sites),
        histogram=distribution.histogram(report.sites),
        states=distribution.state_rows(report.sites),
        used_tones={tones.tone(site).name for site in report.sites},
        used_states={site.state for site in report.sites},
    )


def _environment() -> Environment:
    environment = page_environment(TEMPLATES, styles=[folder / "style.css" for folder in (RUN_TEMPLATES, TEMPLATES)])
    environment.filters["size"] = words.size
    environment.globals |= {
        "words": words,
        "advice": advice,
        "maps": maps,
        "tones": tones,
        "MAX_GROUPS": MAX_GROUPS,
        "MAX_FINDINGS": MAX_FINDINGS,
        "MAX_LABEL": MAX_LABEL,
        "frame_of": Frame.of,
    }
    return environment


def _step(size: int, wanted: int) -> int:
    """Every how many cells of `size` pixels there is room for a label of `wanted`."""
    return next(step for step in (1, 2, 4, 8, 16, 32, 64, 128, 256) if step * size >= wanted or step == 256)
