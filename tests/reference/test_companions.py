"""What lies beside the weights, compared with base's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.jobs import FieldValue
from reference.companions import compare_companions, compare_generation

FILES: dict[str, dict[str, Any]] = {
    "config.json": {"eos_token_id": 3, "experts": 8},
    "generation_config.json": {"eos_token_id": 3, "temperature": 0.7, "transformers_version": "5"},
    "tokenizer.json": {"model": {"vocab": {"a": 4, "b": 5}}, "added_tokens": [{"content": "<eos>", "id": 3}]},
}
ALIASES = {"eos_token_id": (), "experts": ("num_experts",)}


def write(directory: Path, files: dict[str, dict[str, Any]]) -> Path:
    """The files, in a folder of their own."""
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content), encoding="utf-8")
    return directory


def changed(tmp_path: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> dict[str, tuple[str, str]]:
    """What is told once one file was edited: field to (expected, got)."""
    files = json.loads(json.dumps(FILES))
    edit(files[name])
    found = compare_companions(write(tmp_path / "base", FILES), write(tmp_path / "saved", files), ALIASES)
    return {field.name: (field.expected, field.got) for field in found if field.expected != field.got}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("config.json", "config.json"),
        ("generation_config.json", "generation_config.json"),
        ("tokenizer.json", "tokenizer"),
    ],
)
@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "null", "[" * 100_000], ids=lambda text: text[:5])
def test_a_file_that_cannot_be_read_is_a_field_of_its_name(tmp_path: Path, name: str, field: str, text: str) -> None:
    """What a stack saved ends no job of ours, whatever it is; the other files are compared."""
    saved = write(tmp_path / "saved", FILES)
    (saved / name).write_text(text, encoding="utf-8")
    found = compare_companions(write(tmp_path / "base", FILES), saved, ALIASES)
    told = {each.name for each in found if each.expected != each.got}
    assert told
    # A configuration without any field says so of each.
    assert told <= {field, *(ALIASES if name == "config.json" else ())}
    assert len(found) > len(told)


@pytest.mark.parametrize(
    ("name", "edit", "expected"),
    [
        pytest.param("config.json", lambda c: None, {}, id="nothing"),
        pytest.param("config.json", lambda c: c.update(num_experts=c.pop("experts")), {}, id="another spelling"),
        pytest.param("config.json", lambda c: c.update(eos_token_id=0), {"eos_token_id": ("3.0", "0.0")}, id="a field"),
        pytest.param(
            "generation_config.json",
            lambda c: c.pop("temperature"),
            {"generation_config.temperature": ("0.7", "null")},
            id="a setting",
        ),
        pytest.param("generation_config.json", lambda c: c.update(eos_token_id=[3]), {}, id="one stop token in a list"),
        pytest.param(
            "generation_config.json",
            lambda c: c.update(eos_token_id=[3, 4]),
            {"generation_config.eos_token_id": ("3.0", "[3, 4]")},
            id="one stop token more",
        ),
        pytest.param("generation_config.json", lambda c: c.update(transformers_version="4"), {}, id="who saved it"),
        pytest.param(
            "tokenizer.json",
            lambda c: c["model"]["vocab"].update(b=6),
            {"tokenizer": ('{"b": 5}', '{"b": 6}')},
            id="a token that moved",
        ),
        pytest.param(
            "tokenizer.json",
            lambda c: c["added_tokens"].clear(),
            {"tokenizer": ('{"<eos>": 3}', '{"<eos>": null}')},
            id="an added token that is lost",
        ),
    ],
)
def test_what_is_not_as_base_has_it_is_told(
    tmp_path: Path, name: str, edit: Callable[[dict[str, Any]], object], expected: dict[str, tuple[str, str]]
) -> None:
    """Each with both values; other spellings, and who saved it, are no change."""
    assert expected == changed(tmp_path, name, edit)


def test_a_file_that_is_not_there_is_another_checks(tmp_path: Path) -> None:
    """No field is told of it; and of what there is, every field is."""
    base = write(tmp_path / "base", FILES)
    assert () == compare_companions(base, write(tmp_path / "none", {}), ALIASES)
    assert 5 == len(compare_companions(base, base, ALIASES))


def test_settings_of_a_live_model_are_looked_up_by_name(tmp_path: Path) -> None:
    """As a file's are."""
    base = write(tmp_path / "base", FILES)
    assert (
        FieldValue(name="generation_config.eos_token_id", expected="3.0", got="3.0"),
        FieldValue(name="generation_config.temperature", expected="0.7", got="1.0"),
    ) == compare_generation(base, {"eos_token_id": [3], "temperature": 1.0}.get)
