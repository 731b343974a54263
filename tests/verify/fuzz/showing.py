"""What becomes of a report where it is seen: as text, page and JSON, none of which a stranger may break."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator

from harness.verify.report import VerifyReport
from reports.verification import html, json_document, terminal

COMMAND = "deltaproof verify"
SCRIPT = "<script>alert(1)</script>"
"""What a name may hold, and no page."""
VIEWS: dict[str, Callable[[VerifyReport], str]] = {
    "text": lambda report: terminal.summary(report, command=COMMAND).plain,
    "page": lambda report: html.render(report, command=COMMAND),
    "JSON": json_document.render,
}
QUICK = ("text", "JSON")


def unshowable(report: VerifyReport, views: Collection[str] = tuple(VIEWS)) -> Iterator[str]:
    """What is wrong with some views of a report."""
    for view, render in VIEWS.items():
        if view not in views:
            continue
        try:
            text = render(report)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
            yield f"cannot be shown as {view}: {error!r}"
            continue
        if signs := {sign for sign in text if not sign.isprintable()} - {"\n"}:
            yield f"is shown as {view} with {''.join(sorted(signs))[:40]!a}"
        if view == "page" and SCRIPT in text:
            yield "is shown as a page with a stranger's script in it"
        if view == "JSON":
            json.loads(text)
