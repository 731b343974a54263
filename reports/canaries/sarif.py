"""Canaries as SARIF 2.1.0, for services that keep alerts: a rule a canary, a result a guard that somebody must look at.

The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; places are files of the package, which is
not the repository that the alert is kept for. What a release need not have yet is no result. Knows no other view.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from harness.records.canaries import CanaryReport, ReleaseReport, State, Told, Verdict
from reports.canaries import view
from reports.text import one_line, safe_link

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Mapping[State, str] = {
    State.BROKEN: "error",
    State.ABSENT: "error",
    State.CANNOT_TELL: "warning",
    State.MOVED: "note",
    State.CHANGED: "note",
}
"""Of what is a result: a guard that is held is none."""
MAX_WRONG = 3
"""Calls that a message tells of."""


def render(report: CanaryReport) -> str:
    """The JSON text, in ASCII."""
    rules = list(report.rules)
    run = {
        "tool": {"driver": {"name": "deltaproof canary", "rules": [_rule(rule) for rule in rules]}},
        "automationDetails": {"id": f"canaries/{_quoted(report.run_id)}"},
        "invocations": [
            {
                "commandLine": one_line(report.command, 2000),
                "executionSuccessful": True,
                "exitCode": int(report.exit_code),
                "properties": {"started": one_line(report.started, 40), "seed": one_line(report.seed, 100)},
            }
        ],
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report)),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, allow_nan=False) + "\n"


def _rule(rule: Told) -> dict[str, Any]:
    link = safe_link(rule.thread)
    thread = f" Its thread: {link or _text(rule.thread)}."
    about = f"{_text(rule.why, 1000)} Expected in {_text(rule.expected or 'every release')} of {_text(rule.package)}."
    made = {
        "id": _id(rule.package, rule.name),
        "name": one_line(rule.name, 200),
        "shortDescription": {"text": f"{_text(rule.package)}: {_text(rule.name.replace('_', ' '))}"},
        "fullDescription": {"text": about},
        "help": {"text": f"{about}{thread}"},
        "defaultConfiguration": {"level": "error"},
        "properties": {
            "package": one_line(rule.package, 100),
            "symbols": [one_line(each, 200) for each in rule.symbols],
        },
    }
    return {**made, "helpUri": link} if link else made


def _results(report: CanaryReport) -> Iterator[dict[str, Any]]:
    rules = view.rules_of(report)
    indices = {key: index for index, key in enumerate(rules)}
    for package in view.packages(report):
        for release in package.releases:
            for verdict in release.verdicts:
                if verdict.state in LEVELS and view.tone_of(verdict) != "skipped":
                    key = (release.package, verdict.rule)
                    made = _result(rules[key], release, verdict, is_alone=len(package.releases) == 1)
                    yield {**made, "ruleIndex": indices[key]}


def _result(rule: Told, release: ReleaseReport, verdict: Verdict, *, is_alone: bool) -> dict[str, Any]:
    made = {
        "ruleId": _id(rule.package, rule.name),
        "level": LEVELS[verdict.state],
        "message": {"text": _message(release, verdict)},
        "locations": [_location(rule, verdict)],
        # Of the guard and not of its release, so that one alert is kept from night to night until the guard is mended.
        "partialFingerprints": {
            "primaryLocationLineHash": _digest(rule.package, rule.name, "" if is_alone else release.version)
        },
        "properties": {
            "package": one_line(release.package, 100),
            "version": one_line(release.version, 100),
            "state": str(verdict.state),
            "digest": verdict.digest,
            "rerun": one_line(view.rerun_of(release, verdict), 1000),
        },
    }
    if verdict.declared == "known":
        made["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": one_line(verdict.note, 1000)}
        ]
    return made


def _message(release: ReleaseReport, verdict: Verdict) -> str:
    said = f"{verdict.rule} is {verdict.state} in {release.package} {release.version}: {verdict.why}."
    for wrong in verdict.wrong[:MAX_WRONG]:
        given = f" ({wrong.given})" if wrong.given else ""
        said += f" {wrong.call}{given}: expected {wrong.expected}, got {wrong.got}."
    left = len(verdict.wrong) - MAX_WRONG
    said += f" And {left} more calls." if left > 0 else ""
    said += f" {verdict.note}." if verdict.note else ""
    return _text(said, 4000)


def _location(rule: Told, verdict: Verdict) -> dict[str, Any]:
    path, line = view.place_of(rule, verdict)
    physical: dict[str, Any] = {"artifactLocation": {"uri": _quoted(path)}}
    if line > 0:
        physical["region"] = {"startLine": line}
    names = [{"fullyQualifiedName": one_line(name, 200)} for name in rule.symbols]
    return {"physicalLocation": physical, **({"logicalLocations": names} if names else {})}


def _id(package: str, rule: str) -> str:
    return one_line(f"{package}/{rule}", 250)


def _text(text: str, limit: int = 300) -> str:
    """On one line, without the links and the places for arguments that a message can have, wherever it came from."""
    line = re.sub(r"[\[\]\\]", lambda match: f"\\{match[0]}", one_line(text, limit))
    return re.sub(r"\{(\d+)\}", r"{{\1}}", line)


def _quoted(path: str) -> str:
    """As a relative reference, whatever characters it has."""
    return quote(path.encode("utf-8", "replace"), safe="/")


def _digest(*parts: str) -> str:
    text = "\n".join(parts).encode("utf-8", "replace")
    return f"{hashlib.sha256(text).hexdigest()[:16]}:1"
