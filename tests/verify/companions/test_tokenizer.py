"""Tests of tokenizers compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import ArtifactError
from harness.verify.companions.folder import open_folder
from harness.verify.companions.tokenizer import compare_tokenizers
from harness.verify.companions.tokenizer_json import simplified
from harness.verify.records import Finding
from tests.verify.companions.builders import edit, graves, kinds
from tests.verify.companions.tokenizer_changes import (
    CONFIG,
    METASPACE,
    PAIRS,
    PIPELINE,
    SPECIAL,
    VOCABULARY,
    Change,
    add,
    drop,
    model,
    put,
    remove,
)


def compare(base: Path, merged: Path) -> tuple[Finding, ...]:
    """The findings of two directories."""
    return compare_tokenizers(open_folder(base), open_folder(merged))


@pytest.mark.parametrize("harmless", [pair[0] for pair in PAIRS.values()], ids=PAIRS)
def test_what_changes_no_token_is_no_error(base: Path, merged: Path, harmless: Change) -> None:
    """The same texts become the same tokens; only tokens that base leaves unset are worth a warning."""
    harmless(merged)
    assert [] == [found for found in graves(compare(base, merged)) if "leaves it unset" not in found[1]]


@pytest.mark.parametrize("harmful", [pair[1] for pair in PAIRS.values()], ids=PAIRS)
def test_what_changes_tokens_is_an_error(base: Path, merged: Path, harmful: Change) -> None:
    """A reload would make other tokens, or another conversation, or have no tokenizer."""
    harmful(merged)
    assert {"tokenizer_changed"} == kinds(compare(base, merged))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(CONFIG, padding_side="left"), "padding_side"),
        (put(CONFIG, model_max_length=8), "model_max_length"),
        (put(CONFIG, unk_token="a"), "unk_token"),
        (put(CONFIG, strange=1), "strange"),
        (put(CONFIG, tokenizer_class="LlamaTokenizer"), "tokenizer_class"),
        (put(CONFIG, additional_special_tokens=["abc"]), "abc"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_only_batches_or_versions_feel_is_a_warning(base: Path, merged: Path, change: Change, words: str) -> None:
    """How batches are filled up, a token that was unset, an unknown field: said, and no error."""
    change(merged)
    found = graves(compare(base, merged))
    assert ["warning"] == [severity for severity, _ in found]
    assert words in found[0][1]


def test_parts_that_transformers_5_sets_up_itself_are_a_warning(base: Path, merged: Path) -> None:
    """It does so for base as for merged, if the class is one of its own; without one, or of its own files, not so."""
    put(CONFIG, backend="tokenizers")(merged)
    put(PIPELINE, normalizer=None, pre_tokenizer=METASPACE)(merged)
    assert {"warning"} == {severity for severity, _ in graves(compare(base, merged))}
    put(CONFIG, backend="tokenizers")(base)
    assert {"tokenizer_changed"} == kinds(compare(base, merged))
    drop(CONFIG, "backend")(base)
    put(CONFIG, tokenizer_class="TokenizersBackend")(merged)
    assert {"tokenizer_changed"} == kinds(compare(base, merged))


def test_a_vocabulary_is_never_set_up_by_a_class(base: Path, merged: Path) -> None:
    """Whoever saved it, another vocabulary is an error, which says how many tokens."""
    put(CONFIG, backend="tokenizers")(merged)
    model(vocab={token: number for token, number in VOCABULARY.items() if token != "abc"})(merged)
    [finding] = compare(base, merged)
    assert "1 tokens lost (abc)" in finding.message


def test_nothing_is_owed_where_base_has_none(base: Path, merged: Path) -> None:
    """A base without a tokenizer asks for none; one that merged has all the same must be readable."""
    remove(PIPELINE, CONFIG, SPECIAL, "vocab.json", "merges.txt")(base)
    assert () == compare(base, merged)
    add(PIPELINE, "{")(merged)
    with pytest.raises(ArtifactError, match="not valid JSON"):
        compare(base, merged)


def test_a_template_gained_is_a_warning(base: Path, merged: Path) -> None:
    """A base model that is taught to converse gets a template: nothing is lost."""
    drop(CONFIG, "chat_template")(base)
    [(severity, message)] = graves(compare(base, merged))
    assert "warning" == severity
    assert "chat template" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda directory: None, []),
        (lambda directory: edit(directory / "vocab.json", lambda content: content.pop("abc")), ["vocab.json"]),
        (add("merges.txt", "#version: 0.3\na b\n"), ["merges.txt"]),
        (remove("vocab.json"), ["vocab.json"]),
    ],
    ids=["same", "vocabulary", "merges", "lost"],
)
def test_slow_files_count_where_they_stand_alone(base: Path, merged: Path, change: Change, expected: list[str]) -> None:
    """Without tokenizer.json on both sides, vocabulary and merges are the tokenizer."""
    remove(PIPELINE)(base)
    remove(PIPELINE)(merged)
    change(merged)
    found = graves(compare(base, merged))
    assert len(expected) == len(found)
    assert all(name in message for name, (_, message) in zip(expected, found, strict=True))


def test_a_converted_slow_tokenizer_keeps_its_vocabulary(base: Path, merged: Path) -> None:
    """tokenizer.json in the place of vocab.json must hold the same tokens."""
    remove(PIPELINE)(base)
    remove("vocab.json", "merges.txt")(merged)
    assert [] == graves(compare(base, merged))
    model(vocab={"a": 0})(merged)
    assert {"tokenizer_changed"} == kinds(compare(base, merged))


def test_sentence_pieces_are_compared_bytewise(base: Path, merged: Path) -> None:
    """A model of the sentencepiece library may be left out beside tokenizer.json, and not be another one."""
    add("tokenizer.model", "one")(base)
    assert [] == graves(compare(base, merged))
    add("tokenizer.model", "two")(merged)
    assert {"tokenizer_changed"} == kinds(compare(base, merged))


def test_settings_for_images_are_owed(base: Path, merged: Path) -> None:
    """transformers 5 writes them into another file: either will do, neither is a warning."""
    add("preprocessor_config.json", "{}")(base)
    assert ["warning"] == [severity for severity, _ in graves(compare(base, merged))]
    add("processor_config.json", "{}")(merged)
    assert [] == graves(compare(base, merged))


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        ("normalizer", {"type": "Sequence", "normalizers": []}, None),
        ("normalizer", {"type": "Sequence", "strange": 1}, {"type": "Sequence", "strange": 1}),
        ("post_processor", {"type": "TemplateProcessing", "single": [1], "pair": [1, 2], "special_tokens": {}}, None),
        (
            "pre_tokenizer",
            {"type": "Metaspace", "replacement": "_", "add_prefix_space": True},
            {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always", "split": True},
        ),
        (
            "decoder",
            {"type": "Metaspace", "replacement": "_", "add_prefix_space": False, "split": False},
            {"type": "Metaspace", "replacement": "_", "prepend_scheme": "never"},
        ),
        ("decoder", "strange", "strange"),
    ],
)
def test_parts_are_simplified(part: str, value: Any, expected: Any) -> None:
    """Parts that do nothing are none, and old spellings are the new ones."""
    assert expected == simplified(part, value)
