"""Tests of all companions together, and of arbitrary damage to them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.checkpoints.safetensors_file import INDEX_FILE
from harness.errors import ArtifactError
from harness.verify.companions import compare_companions
from tests.verify.companions.builders import SHARD_BYTES, edit, kinds, write

DAMAGED = (
    "config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json",
    "vocab.json", INDEX_FILE,
)  # fmt: skip
KINDS = {
    "config_mismatch", "generation_config_missing", "generation_config_changed", "tokenizer_changed", "index_mismatch",
    "tensor_duplicated", "tied_weights_broken",
}  # fmt: skip


def test_equal_checkpoints_have_no_findings(base: Path, merged: Path) -> None:
    """Nothing is found where nothing differs."""
    assert () == compare_companions(base, merged)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("config.json", "config_mismatch"),
        ("generation_config.json", "generation_config_missing"),
        ("tokenizer.json", "tokenizer_changed"),
        ("tokenizer_config.json", "tokenizer_changed"),
    ],
)
def test_each_file_is_missed(base: Path, merged: Path, name: str, kind: str) -> None:
    """A file that base has, and merged lacks, is an error of its kind, and of no other."""
    (merged / name).unlink()
    assert {kind} == kinds(compare_companions(base, merged))


@pytest.mark.parametrize("name", ["special_tokens_map.json", "vocab.json", "merges.txt"])
def test_redundant_files_are_not_missed(base: Path, merged: Path, name: str) -> None:
    """What other files say too need not be there."""
    (merged / name).unlink()
    assert () == compare_companions(base, merged)


def test_parts_are_all_reported_together(base: Path, merged: Path) -> None:
    """One loss does not hide another."""
    edit(merged / "config.json", lambda content: content.update(rope_theta=1.0, tie_word_embeddings=True))
    edit(merged / "generation_config.json", lambda content: content.update(top_k=1))
    edit(merged / "tokenizer.json", lambda content: content.update(normalizer=None))
    (merged / "other.safetensors").write_bytes(b"")
    assert KINDS - {"generation_config_missing", "tensor_duplicated"} == kinds(compare_companions(base, merged))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another at `path`, or without it if `new` is Ellipsis."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copied[path[0]]
    else:
        copied[path[0]] = replaced(copied[path[0]], path[1:], new)
    return copied


@pytest.fixture(scope="module")
def sound() -> Any:
    """Two equal checkpoints of shards, written once, in a place of their own."""
    with tempfile.TemporaryDirectory() as name:
        yield tuple(write(Path(name) / role, shard_bytes=SHARD_BYTES) for role in ("base", "merged"))


def judged(base: Path, merged: Path) -> None:
    """Findings of known kinds in safe words, or one ArtifactError."""
    try:
        found = compare_companions(base, merged)
    except ArtifactError:
        return
    assert {finding.kind for finding in found} <= KINDS
    assert all(finding.message.isascii() for finding in found)


@settings(max_examples=400)
@given(st.data())
def test_any_json_in_any_place_is_judged_or_refused(sound: tuple[Path, Path], data: st.DataObject) -> None:
    """Whatever a value becomes, in either checkpoint, there are findings or an ArtifactError, and nothing else."""
    name = data.draw(st.sampled_from(DAMAGED))
    directory = data.draw(st.sampled_from(sound))
    content = (directory / name).read_text(encoding="utf-8")
    value = json.loads(content)
    path = data.draw(st.sampled_from(places(value)))
    new = data.draw(JSON | (st.just(...) if path else JSON))
    try:
        (directory / name).write_text(json.dumps(replaced(value, path, new)), encoding="utf-8")
        judged(*sound)
    finally:
        (directory / name).write_text(content, encoding="utf-8")


@settings(max_examples=300)
@given(st.data())
def test_any_damage_to_the_bytes_is_judged_or_refused(sound: tuple[Path, Path], data: st.DataObject) -> None:
    """Whatever bytes are cut out and put in, there are findings or an ArtifactError, and nothing else."""
    name = data.draw(st.sampled_from((*DAMAGED, "merges.txt")))
    directory = data.draw(st.sampled_from(sound))
    content = (directory / name).read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 9, len(content))))
    try:
        (directory / name).write_bytes(content[:start] + data.draw(st.binary(max_size=9)) + content[stop:])
        judged(*sound)
    finally:
        (directory / name).write_bytes(content)


def test_the_damaged_checkpoints_are_sound_again(sound: tuple[Path, Path], tmp_path: Path) -> None:
    """The two tests above put back what they changed: the copies are still equal."""
    for directory in sound:
        shutil.copytree(directory, tmp_path / directory.name)
    assert () == compare_companions(tmp_path / "base", tmp_path / "merged")
