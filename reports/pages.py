"""What our HTML pages share: the Jinja environment that cleans and escapes, their frame, and the policy they run under.

A page is one file: inline style and script, no requests, legible without script. Knows nothing of what a page shows.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports import text

TEMPLATES = Path(__file__).with_name("templates")
"""Of a run's page, and the frame of all."""


def page_environment(folder: Path, *, styles: Iterable[Path], scripts: Iterable[Path] = ()) -> Environment:
    """An environment for the templates in `folder` and the frame `base.html.j2`, with these files inline."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
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
    }
    style, script = ("".join(path.read_text("utf-8") for path in paths) for paths in (styles, scripts))
    environment.globals |= {
        # Our own files, and the only markup that is not escaped.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "policy": _policy(style, script),
    }
    return environment


def anchor(name: str) -> str:
    """A page's anchor of what is called `name`: the same in every run, whatever characters it has."""
    return "r-" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:12]


def _clean(value: Any) -> Any:
    """Applied to every value that a template prints, before it is escaped."""
    return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    # By digest, not 'unsafe-inline': whatever slipped through the escaping would still neither run nor load.
    def source(kind: str, content: str) -> str:
        return f"{kind}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'; "

    allowed = source("style", style) + (source("script", script) if script else "")
    return f"default-src 'none'; {allowed}img-src data:; base-uri 'none'; form-action 'none'"
