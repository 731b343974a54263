"""The published schema is the records, and tells a report from what is not one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from harness.codec import encode
from harness.records.results import Report
from reports import schema


@pytest.mark.parametrize("published", schema.PUBLISHED, ids=lambda published: published.title)
def test_published_schema_is_current(published: schema.Published) -> None:
    """Each schema.json is what the generator gives: run `python -m reports.schema` after a record has changed."""
    assert published.path.read_text("utf-8") == schema.schema_text(published)


@pytest.mark.parametrize("published", schema.PUBLISHED, ids=lambda published: published.title)
def test_schema_is_itself_valid(published: schema.Published) -> None:
    """A correct JSON Schema 2020-12, which names its version."""
    made = schema.schema_of(published)
    jsonschema.Draft202012Validator.check_schema(made)
    assert published.version in made["title"]


def test_every_sample_report_is_valid(any_report: Report) -> None:
    """What the records encode to satisfies the schema, whatever is in their texts."""
    jsonschema.Draft202012Validator(schema.schema_of(schema.REPORT)).validate(encode(any_report))


def _without_results(value: dict[str, Any]) -> None:
    del value["results"]


def _with_unknown_key(value: dict[str, Any]) -> None:
    value["results"][0]["colour"] = "green"


def _with_other_version(value: dict[str, Any]) -> None:
    value["schema_version"] = "0.9"


def _with_unknown_verdict(value: dict[str, Any]) -> None:
    value["results"][0]["judgement"]["verdict"] = "FINE"


def _with_text_for_number(value: dict[str, Any]) -> None:
    value["duration_s"] = "long"


def _with_untagged_measurement(value: dict[str, Any]) -> None:
    del value["results"][0]["measurements"][0]["type"]


@pytest.mark.parametrize(
    "change",
    [
        _without_results,
        _with_unknown_key,
        _with_other_version,
        _with_unknown_verdict,
        _with_text_for_number,
        _with_untagged_measurement,
    ],
)
def test_a_changed_report_is_invalid(sample: Callable[[str], Report], change: Callable[[dict[str, Any]], None]) -> None:
    """Each change that would mislead a consumer is refused, and the unchanged report is not."""
    validator = jsonschema.Draft202012Validator(schema.schema_of(schema.REPORT))
    value = json.loads(json.dumps(encode(sample("small"))))
    assert validator.is_valid(value)
    change(value)
    assert not validator.is_valid(value)
