"""The JSON of the kill matrix: what jobs read, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from harness import codec
from harness.records.faults import KillMatrix
from reports import schema
from reports.faults import json_document
from tests.reports.faults.builders import MATRICES

VALIDATOR = jsonschema.Draft202012Validator(schema.schema_of(schema.KILL_MATRIX))


def test_the_json_is_the_records_and_satisfies_the_schema(any_matrix: KillMatrix) -> None:
    """Read again, it is the same matrix, whatever is in its texts."""
    value = json.loads(json_document.render(any_matrix))
    assert any_matrix == codec.decode(KillMatrix, value, where="here")
    VALIDATOR.validate(value)


def test_what_jobs_rely_on_is_required() -> None:
    """The three numbers, and of each fault its name, source, who caught it, and whether the culprit was named."""
    published = json.loads(schema.KILL_MATRIX.path.read_text("utf-8"))
    assert {"num_faults", "num_caught", "num_false_alarms", "faults"} <= set(published["required"])
    of_fault = published["$defs"]["FaultResult"]
    assert {"name", "source", "caught_by", "culprit_named"} <= set(of_fault["required"])
    assert {"type": "array", "items": {"type": "string"}} == {
        key: of_fault["properties"]["caught_by"][key] for key in ("type", "items")
    }
    value = json.loads(json_document.render(MATRICES["bad"]))
    assert (6, 1, 1) == (value["num_faults"], value["num_caught"], value["num_false_alarms"])
    good = value["faults"][0]
    assert ("one_expert_missed", ["merged", "verify", "write"], True) == (
        good["name"], good["caught_by"], good["culprit_named"],
    )  # fmt: skip


def _without_faults(value: dict[str, Any]) -> None:
    del value["faults"]


def _without_the_culprit(value: dict[str, Any]) -> None:
    del value["faults"][0]["culprit_named"]


def _with_another_check(value: dict[str, Any]) -> None:
    value["faults"][0]["cases"][0]["checks"][0]["check"] = "luck"


def _with_another_version(value: dict[str, Any]) -> None:
    value["schema_version"] = "0.9"


def _with_an_unknown_key(value: dict[str, Any]) -> None:
    value["controls"][0]["colour"] = "green"


def _with_a_text_for_a_number(value: dict[str, Any]) -> None:
    value["num_caught"] = "all"


@pytest.mark.parametrize(
    "change",
    [
        _without_faults,
        _without_the_culprit,
        _with_another_check,
        _with_another_version,
        _with_an_unknown_key,
        _with_a_text_for_a_number,
    ],
)
def test_a_changed_matrix_is_invalid(change: Callable[[dict[str, Any]], None]) -> None:
    """Each change that would mislead a consumer is refused, and the unchanged one is not."""
    value = json.loads(json_document.render(MATRICES["bad"]))
    assert VALIDATOR.is_valid(value)
    change(value)
    assert not VALIDATOR.is_valid(value)
