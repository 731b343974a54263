"""The environment that all pages are made in: what a template prints is cleaned and escaped, and nothing else runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from reports.pages import anchor, page_environment
from tests.reports.conftest import HOSTILE


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Templates, a style and a script."""
    for name, text in {
        "value.html.j2": "{{ value }}",
        "page.html.j2": '{% extends "base.html.j2" %}{% block main %}{{ value }}{% endblock %}',
        "style.css": "p { color: red }",
        "script.js": "1 < 2;",
    }.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_what_a_template_prints_is_cleaned_and_escaped(folder: Path) -> None:
    """Also where it forgets every filter; a name that it does not know is an error, and no empty text."""
    template = page_environment(folder, styles=[]).get_template("value.html.j2")
    text = template.render(value=HOSTILE)
    assert "&lt;script&gt;" in text
    assert not set(text) & set("<>\x00\x1b\x07\u202e\ud800")
    with pytest.raises(UndefinedError):
        template.render()


def test_the_frame_holds_our_files_as_they_are(folder: Path) -> None:
    """Style and script inline and unescaped, with a policy for each; without a script there is neither."""
    styles = [folder / "style.css"]
    page = page_environment(folder, styles=styles, scripts=[folder / "script.js"]).get_template("page.html.j2")
    text = page.render(value="<b>")
    assert "<style>p { color: red }</style>" in text
    assert "<script>1 < 2;</script>" in text
    assert "script-src &#39;sha256-" in text
    assert "&lt;b&gt;" in text
    still = page_environment(folder, styles=styles).get_template("page.html.j2").render(value="")
    assert "<script" not in still
    assert "script-src" not in still
    assert "style-src" in still


def test_an_anchor_is_a_name_that_any_id_has() -> None:
    """Two ids have two, one has always the same, and no character of it needs an escape."""
    assert anchor(HOSTILE) == anchor(HOSTILE) != anchor("case@r1")
    assert anchor(HOSTILE).removeprefix("r-").isalnum()
