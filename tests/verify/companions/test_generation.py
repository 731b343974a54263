"""Tests of generation_config.json compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ArtifactError
from harness.verify.companions.folder import open_folder
from harness.verify.companions.generation import FILE, compare_generation
from harness.verify.records import Finding
from tests.verify.companions.builders import GENERATION, changed, graves, kinds, write


def compare(tmp_path: Path, before: dict[str, Any] | None, after: dict[str, Any] | None) -> tuple[Finding, ...]:
    """The findings of two generation configurations; None is no file."""
    base = write(tmp_path / "one", generation_config=before)
    merged = write(tmp_path / "other", generation_config=after)
    return compare_generation(open_folder(base), open_folder(merged))


# What base says, what means the same, what is the nearest difference, and the field that it is to name.
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]] = {
    "versions": (
        GENERATION,
        changed(GENERATION, "transformers_version", _from_model_config=True, use_cache=False, output_scores=True),
        changed(GENERATION, temperature=0.6),
        "temperature",
    ),
    "defaults added": (
        changed(GENERATION, "temperature", "top_k"),
        changed(GENERATION, temperature=1.0, top_k=50, top_p=1.0, num_beams=1),
        changed(GENERATION, "top_k", temperature=0.9),
        "temperature",
    ),
    "defaults as null": (
        changed(GENERATION, "top_k"),
        changed(GENERATION, top_k=None, repetition_penalty=None),
        changed(GENERATION, "top_k", repetition_penalty=1.1),
        "repetition_penalty",
    ),
    "a default left out": (changed(GENERATION, top_p=1.0), GENERATION, changed(GENERATION, top_p=0.9), "top_p"),
    "a setting left out": (GENERATION, changed(GENERATION), changed(GENERATION, "do_sample"), "do_sample"),
    "one end token in a list": (
        changed(GENERATION, eos_token_id=2),
        changed(GENERATION, eos_token_id=[2]),
        changed(GENERATION, eos_token_id=[2, 5]),
        "eos_token_id",
    ),
    "order of end tokens": (
        GENERATION,
        changed(GENERATION, eos_token_id=[5, 2, 2]),
        changed(GENERATION, eos_token_id=5),
        "eos_token_id",
    ),
    "something unknown": (
        changed(GENERATION, strange=3),
        changed(GENERATION, strange=3.0),
        GENERATION,
        "strange",
    ),
}


@pytest.mark.parametrize(("base", "alike", "_unlike", "_field"), ROWS.values(), ids=ROWS)
def test_settings_that_generate_the_same_are_no_finding(
    tmp_path: Path, base: dict[str, Any], alike: dict[str, Any], _unlike: dict[str, Any], _field: str
) -> None:
    """Whoever wrote it, and whether defaults are stated, the same text is generated."""
    assert () == compare(tmp_path, base, alike)


@pytest.mark.parametrize(("base", "_alike", "unlike", "field"), ROWS.values(), ids=ROWS)
def test_settings_that_generate_otherwise_are_named(
    tmp_path: Path, base: dict[str, Any], _alike: dict[str, Any], unlike: dict[str, Any], field: str
) -> None:
    """A changed setting is an error that names it and both values."""
    [finding] = compare(tmp_path, base, unlike)
    assert ("generation_config_changed", "error") == (finding.kind, finding.severity)
    assert field in finding.message
    assert finding.expected != finding.got


def test_a_missing_file_is_an_error_only_if_base_has_one(tmp_path: Path) -> None:
    """What base does not have, merged does not owe."""
    assert {"generation_config_missing"} == kinds(compare(tmp_path / "a", GENERATION, None))
    assert () == compare(tmp_path / "b", None, None)
    assert () == compare(tmp_path / "c", None, GENERATION)


def test_a_file_that_says_nothing_but_ids_is_owed_too(tmp_path: Path) -> None:
    """A generation configuration made from the model's is missed all the same."""
    assert {"generation_config_missing"} == kinds(compare(tmp_path, {"_from_model_config": True}, None))


def test_padding_set_by_a_trainer_is_a_warning(tmp_path: Path) -> None:
    """A token for filling up batches, where base has none, changes no text; another one than base's may."""
    assert ["warning"] == [
        severity for severity, _ in graves(compare(tmp_path / "a", changed(GENERATION, "pad_token_id"), GENERATION))
    ]
    assert {"generation_config_changed"} == kinds(
        compare(tmp_path / "b", GENERATION, changed(GENERATION, pad_token_id=7))
    )


def test_a_malformed_file_is_refused_though_nothing_is_owed(tmp_path: Path) -> None:
    """What merged has is read, whether base has it or not."""
    base, merged = write(tmp_path / "base", generation_config=None), write(tmp_path / "merged")
    (merged / FILE).write_text("[]", encoding="utf-8")
    with pytest.raises(ArtifactError, match="not a JSON object"):
        compare_generation(open_folder(base), open_folder(merged))
