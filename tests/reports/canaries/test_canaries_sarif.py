"""The SARIF of canaries: what a service that keeps alerts takes, and what it must not be told."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from harness.records.canaries import HOLDS, CanaryReport, State
from reports.canaries import sarif, view
from tests.reports.canaries.builders import GOOD, REPORTS, early, known, release, report, verdict

TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
STRUCTURE = {
    "type": "object",
    "required": ["$schema", "version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"pattern": "sarif-schema-2.1.0.json$"},
        "version": {"const": "2.1.0"},
        "runs": {"minItems": 1, "maxItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "required": ["tool", "results"],
            "properties": {
                "tool": {"properties": {"driver": {"$ref": "#/$defs/driver"}}, "required": ["driver"]},
                "invocations": {"items": {"required": ["executionSuccessful"]}},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"type": "array", "items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "required": ["name", "rules"],
            "properties": {"rules": {"uniqueItems": True, "items": {"$ref": "#/$defs/rule"}}},
        },
        "rule": {
            "required": ["id", "shortDescription", "fullDescription", "help"],
            "properties": {
                "id": {"type": "string", "maxLength": 255},
                "shortDescription": TEXT,
                "fullDescription": TEXT,
                "help": TEXT,
                "helpUri": {"pattern": "^https?://[^\\s]+$"},
                "defaultConfiguration": {"properties": {"level": {"enum": ["none", "note", "warning", "error"]}}},
            },
        },
        "result": {
            "required": ["ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"],
            "properties": {
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": TEXT,
                "locations": {"minItems": 1, "items": {"$ref": "#/$defs/location"}},
                "suppressions": {
                    "items": {
                        "required": ["kind"],
                        "properties": {
                            "kind": {"enum": ["inSource", "external"]},
                            "status": {"enum": ["accepted", "underReview", "rejected"]},
                        },
                    }
                },
            },
        },
        "location": {
            "required": ["physicalLocation"],  # a service that keeps alerts refuses a file with one that has none
            "properties": {
                "physicalLocation": {
                    "required": ["artifactLocation"],
                    "properties": {
                        "artifactLocation": {
                            "required": ["uri"],
                            "properties": {"uri": {"pattern": "^(?![/.])[A-Za-z0-9_.~/%-]+$"}},
                        },
                        "region": {"required": ["startLine"], "properties": {"startLine": {"minimum": 1}}},
                    },
                }
            },
        },
    },
}
"""What SARIF 2.1.0 and GitHub's code scanning demand of what we write. All samples also satisfy the official schema."""


def run_of(shown: CanaryReport) -> dict[str, Any]:
    """The one run."""
    [run] = json.loads(sarif.render(shown))["runs"]
    assert isinstance(run, dict)
    return run


def test_it_has_the_structure_of_sarif(any_canaries: CanaryReport) -> None:
    """Whatever is in the texts; each result is of a rule that is there."""
    value = json.loads(sarif.render(any_canaries))
    jsonschema.Draft202012Validator(STRUCTURE).validate(value)
    rules = value["runs"][0]["tool"]["driver"]["rules"]
    assert len(any_canaries.rules) == len({rule["id"] for rule in rules})
    for result in value["runs"][0]["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (State.BROKEN, "error"),
        (State.ABSENT, "error"),
        (State.CANNOT_TELL, "warning"),
        (State.MOVED, "note"),
        (State.CHANGED, "note"),
        (State.HELD, None),
    ],
)
def test_a_state_has_its_level(state: State, level: str | None) -> None:
    """A guard that is held is no result."""
    results = run_of(report(release(verdict("guard", state))))["results"]
    assert ([] if level is None else [level]) == [result["level"] for result in results]
    assert all(state.value in result["message"]["text"] for result in results)


def test_what_is_known_is_suppressed_and_what_is_not_expected_is_left_out() -> None:
    """With the reason; what counts is not suppressed."""
    results = run_of(report(release(known("known"), early("early"), verdict("bad", State.BROKEN))))["results"]
    assert ["unsloth_zoo/known", "unsloth_zoo/bad"] == [result["ruleId"] for result in results]
    [suppression] = results[0]["suppressions"]
    assert ("external", "accepted") == (suppression["kind"], suppression["status"])
    assert "shards are uploaded first" in suppression["justification"]
    assert "suppressions" not in results[1]


def test_a_result_says_where() -> None:
    """File and line where it was found, the rule's file where it was not; and the calls that went wrong."""
    results = {each["ruleId"]: each for each in run_of(REPORTS["states"])["results"]}
    where = {name.partition("/")[2]: each["locations"][0]["physicalLocation"] for name, each in results.items()}
    assert {"artifactLocation": {"uri": "unsloth_zoo/saving_utils.py"}, "region": {"startLine": 120}} == (
        where["layout_by_shape"]
    )
    assert {"artifactLocation": {"uri": "unsloth_zoo/saving_utils.py"}} == where["expert_count_from_the_model"]
    assert {"artifactLocation": {"uri": "unsloth_zoo/moved.py"}, "region": {"startLine": 7}} == where["fallback_raises"]
    broken = results["unsloth_zoo/layout_by_shape"]
    assert r"expected \['standard', 2\], got \['swapped', 2\]" in broken["message"]["text"]
    assert broken["properties"]["rerun"].endswith("-k layout_by_shape@unsloth_zoo")
    rule = run_of(REPORTS["states"])["tool"]["driver"]["rules"][0]
    assert "https://github.com/unslothai/unsloth-zoo/pull/647" == rule["helpUri"]


def test_an_alert_is_the_same_in_the_next_release() -> None:
    """Its fingerprint is the guard's; in a timeline, where there are several, the release's too."""

    def fingerprints(shown: CanaryReport) -> list[str]:
        return [each["partialFingerprints"]["primaryLocationLineHash"] for each in run_of(shown)["results"]]

    bad = [verdict("one", State.BROKEN), verdict("two", State.BROKEN)]
    today, tomorrow = release(*bad), release(*bad, version="2026.11.1")
    assert fingerprints(report(today)) == fingerprints(report(tomorrow))
    assert 2 == len(set(fingerprints(report(today))))
    assert 4 == len(set(fingerprints(report(today, tomorrow))))


def test_a_strangers_text_makes_no_link() -> None:
    """Brackets are escaped, an address is not one of the web, and a path leads nowhere else."""
    run = run_of(REPORTS["hostile"])
    texts = [result["message"]["text"] for result in run["results"]]
    texts += [rule["help"]["text"] for rule in run["tool"]["driver"]["rules"]]
    assert texts
    assert all("alert" in text and not re.search(r"(?<!\\)[\[\]]", text) for text in texts)
    assert not [rule for rule in run["tool"]["driver"]["rules"] if "helpUri" in rule]
    hostile = report(release(verdict("guard", State.BROKEN, path="a/../../b c#?%[x](y)", why="a {0} of {braces}")))
    [result] = run_of(hostile)["results"]
    assert "a {{0}} of {braces}" in result["message"]["text"]
    assert (
        "a/../../b%20c%23%3F%25%5Bx%5D%28y%29"
        == (result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
    )


def test_results_are_all_that_somebody_must_look_at(any_canaries: CanaryReport) -> None:
    """Each guard that does not hold where it is expected, moved or changed; the exit code is there too."""
    run = run_of(any_canaries)
    expected = sum(
        each.state is not State.HELD and view.tone_of(each) != "skipped" for each in view.verdicts_of(any_canaries)
    )
    assert expected == len(run["results"])
    assert [any_canaries.exit_code] == [each["exitCode"] for each in run["invocations"]]
    errors = [each for each in run["results"] if each["level"] in ("error", "warning") and "suppressions" not in each]
    assert any(each.exit_code and each.verdicts for each in any_canaries.releases) == bool(errors)
    assert HOLDS - {State.HELD} == {state for state in sarif.LEVELS if sarif.LEVELS[state] == "note"}
    assert [] == [each for each in run_of(report(GOOD))["results"] if "suppressions" not in each]
