"""The JSON that jobs read: its keys, its schema, and that no report makes it invalid."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
from hypothesis import given, settings

from harness.verify.records import Severity
from harness.verify.report import SCHEMA_VERSION, LayoutSeen, Timing, Verdict, VerifyReport
from reports.verification import json_document
from tests.reports.verification import builders
from tests.reports.verification.any_report import REPORTS

SCHEMA = json.loads(json_document.SCHEMA_PATH.read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KEYS = ["schema_version", "verdict", "exit_code", "findings", "tensors", "experts", "passthrough", "layout"]
KEYS += ["files", "timing"]


def choices(annotation: Any) -> set[Any]:
    """The texts of a Literal; None where it may be that."""
    return {
        choice
        for part in get_args(annotation)
        for choice in get_args(part) or ([None] if part is type(None) else [part])
    }


def test_the_top_level_is_the_contract() -> None:
    """Exactly these keys, in this order, in the document and in its schema."""
    assert KEYS == list(json.loads(json_document.render(builders.clean())))
    assert KEYS == list(SCHEMA["properties"]) == SCHEMA["required"]


def test_the_schema_is_itself_valid() -> None:
    """A correct JSON Schema 2020-12, closed at every level."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    closed = [SCHEMA, *SCHEMA["$defs"].values()]
    closed += [each for each in SCHEMA["properties"].values() if each.get("type") == "object"]
    assert {False} == {each["additionalProperties"] for each in closed}


def test_the_schema_knows_what_the_records_know() -> None:
    """Verdicts with their exit codes, severities, layouts and the version."""
    properties = SCHEMA["properties"]
    layout = get_type_hints(LayoutSeen)
    assert set(Verdict) == set(properties["verdict"]["enum"])
    assert {int(verdict.exit_code) for verdict in Verdict} == set(properties["exit_code"]["enum"])
    assert set(get_args(Severity)) == set(SCHEMA["$defs"]["Finding"]["properties"]["severity"]["enum"])
    for name in ("fused", "packing"):
        assert choices(layout[name]) == set(properties["layout"]["properties"][name]["enum"])
    assert SCHEMA_VERSION == properties["schema_version"]["const"]


def test_a_finding_has_all_its_fields() -> None:
    """Eight of them, null where there is no layer or expert."""
    first = json_document.document(builders.one_lost_expert())["findings"][0]
    assert ["kind", "severity", "message", "tensor", "layer", "expert", "expected", "got"] == list(first)
    assert (1, 5) == (first["layer"], first["expert"])
    hostile = json_document.document(builders.hostile())["findings"][0]
    assert (None, None) == (hostile["layer"], hostile["expert"])


def test_directories_are_texts() -> None:
    """With what was read of each; null for a merged checkpoint that was not given."""
    files = json_document.document(builders.adapter_alone())["files"]
    assert ["base", "adapter", "merged"] == list(files)
    assert files["merged"] is None
    assert ("/models/base", 400, 3_865_470_566) == tuple(
        files["base"][key] for key in ("directory", "num_tensors", "size_bytes")
    )


def test_what_is_for_pictures_is_not_in_it() -> None:
    """A report of 36,000 weights is small when nothing is wrong with them."""
    assert len(json_document.render(builders.report(seen=builders.sites(12, 128)))) < 3000


def test_names_are_harmless_wherever_they_are_shown() -> None:
    """ASCII without control characters, that reads back as the names that were in the files."""
    text = json_document.render(builders.hostile())
    assert text.isascii()
    assert not [character for character in text if ord(character) < 32 and character != "\n"]
    assert builders.HOSTILE == json.loads(text)["findings"][0]["tensor"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_no_number_is_beyond_json(number: float) -> None:
    """A time that is none is our mistake, and is refused."""
    with pytest.raises(ValueError, match="cannot be recorded"):
        json_document.render(replace(builders.clean(), timing=Timing(duration_s=number, read_bytes=0)))


@given(REPORTS)
@settings(max_examples=50)
def test_every_report_is_valid(report: VerifyReport) -> None:
    """Whatever is in its texts and numbers, and read back it is the same document."""
    VALIDATOR.validate(json.loads(json_document.render(report)))
    assert json_document.document(report) == json.loads(json_document.render(report))


def _without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return change


def _with(value: Any, *path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_without("experts", "fallback"), id="a count is gone"),
        pytest.param(_without("files", "merged"), id="merged is gone"),
        pytest.param(_with("FINE", "verdict"), id="unknown verdict"),
        pytest.param(_with(2, "exit_code"), id="unknown exit code"),
        pytest.param(_with(-1, "tensors", "wrong"), id="negative count"),
        pytest.param(_with("many", "tensors", "wrong"), id="text for a count"),
        pytest.param(_with("fatal", "findings", 0, "severity"), id="unknown severity"),
        pytest.param(_with("green", "findings", 0, "colour"), id="unknown key"),
        pytest.param(_with("4", "findings", 0, "layer"), id="text for a layer"),
        pytest.param(_with("fast", "layout", "packing"), id="unknown packing"),
        pytest.param(_with(2, "schema_version"), id="another version"),
    ],
)
def test_a_changed_document_is_invalid(change: Callable[[dict[str, Any]], None]) -> None:
    """Each change that would mislead a job is refused, and the unchanged document is not."""
    document = json_document.document(builders.one_lost_expert())
    assert VALIDATOR.is_valid(document)
    change(document)
    assert not VALIDATOR.is_valid(document)


def test_the_schema_is_beside_the_module() -> None:
    """Where the wheel takes it along."""
    assert Path(json_document.__file__).parent == json_document.SCHEMA_PATH.parent
