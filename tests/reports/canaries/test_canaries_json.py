"""The JSON of canaries: what jobs read, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from harness.codec import encode
from harness.records.canaries import CanaryReport, State
from reports import schema
from reports.canaries import json_document
from tests.reports.canaries.builders import REPORTS, release, report, verdict

VALIDATOR = jsonschema.Draft202012Validator(schema.schema_of(schema.CANARIES))


def test_the_json_is_the_records_and_satisfies_the_schema(any_canaries: CanaryReport) -> None:
    """All that is in them, whatever is in their texts."""
    value = json.loads(json_document.render(any_canaries))
    assert json.loads(json.dumps(encode(any_canaries))) == value
    VALIDATOR.validate(value)


@pytest.mark.parametrize("state", State)
def test_every_state_is_one_that_the_schema_knows(state: State) -> None:
    """By the word that is in the JSON; the schema has no others."""
    value = json.loads(json_document.render(report(release(verdict("guard", state)))))
    assert state.value == value["releases"][0]["verdicts"][0]["state"]
    VALIDATOR.validate(value)
    published = json.loads(schema.CANARIES.path.read_text("utf-8"))
    assert {"enum": [each.value for each in State]} == {
        "enum": published["$defs"]["Verdict"]["properties"]["state"]["enum"]
    }


def test_what_jobs_rely_on_is_required() -> None:
    """The exit code, and of each guard its state, whether it counts, why, and what was looked at."""
    published = json.loads(schema.CANARIES.path.read_text("utf-8"))
    assert {"schema_version", "releases", "changes", "exit_code"} <= set(published["required"])
    assert {"rule", "state", "counts", "why", "looked_at"} <= set(published["$defs"]["Verdict"]["required"])
    assert {"package", "version", "verdicts", "exit_code", "rerun"} <= set(
        published["$defs"]["ReleaseReport"]["required"]
    )
    assert {"const": "1.0"} == published["properties"]["schema_version"]


def _with_another_state(value: dict[str, Any]) -> None:
    value["releases"][0]["verdicts"][0]["state"] = "fine"


def _without_a_state(value: dict[str, Any]) -> None:
    del value["releases"][0]["verdicts"][0]["state"]


def _with_another_declaration(value: dict[str, Any]) -> None:
    value["releases"][0]["verdicts"][0]["declared"] = "forgiven"


def _with_another_version(value: dict[str, Any]) -> None:
    value["schema_version"] = "0.9"


def _with_an_unknown_key(value: dict[str, Any]) -> None:
    value["releases"][0]["colour"] = "green"


def _with_a_text_for_a_number(value: dict[str, Any]) -> None:
    value["exit_code"] = "good"


@pytest.mark.parametrize(
    "change",
    [
        _with_another_state,
        _without_a_state,
        _with_another_declaration,
        _with_another_version,
        _with_an_unknown_key,
        _with_a_text_for_a_number,
    ],
)
def test_a_changed_report_is_invalid(change: Callable[[dict[str, Any]], None]) -> None:
    """Each change that would mislead a consumer is refused, and the unchanged one is not."""
    value = json.loads(json_document.render(REPORTS["states"]))
    assert VALIDATOR.is_valid(value)
    change(value)
    assert not VALIDATOR.is_valid(value)
