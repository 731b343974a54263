"""What a loader takes of a saved checkpoint, and what speaks against its files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.safetensors_file import INDEX_FILE, SINGLE_FILE, read_index, read_tensor, write_checkpoint
from harness.checkpoints.safetensors_file import write_file as write_tensors
from harness.checkpoints.taken import take

TENSORS = {name: ("F32", np.full((4,), number, np.float32)) for number, name in enumerate("abc")}
SHARDS = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A tensor a shard, and the index."""
    write_checkpoint(tmp_path, TENSORS, shard_bytes=16)
    return tmp_path


def edit_index(directory: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """The index after `edit` of its map."""
    index = json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))
    edit(index["weight_map"])
    (directory / INDEX_FILE).write_text(json.dumps(index), encoding="utf-8")


def told(directory: Path) -> list[tuple[str, str, str]]:
    """Kind, tensor and file of what is told."""
    return [(each.kind, each.tensor, each.file) for each in take(directory).contradictions]


def values(directory: Path) -> dict[str, float]:
    """The first number of every tensor that is taken."""
    return {name: float(read_tensor(entry)[0]) for name, entry in take(directory).entries.items()}


@pytest.mark.parametrize("shard_bytes", [None, 16])
def test_of_what_agrees_the_same_is_taken_as_strictly(tmp_path: Path, shard_bytes: int | None) -> None:
    """One file or shards: every tensor, and nothing to complain of; an adapter's file beside them is no part of it."""
    write_checkpoint(tmp_path, TENSORS, shard_bytes=shard_bytes)
    write_tensors(tmp_path / "adapter_model.safetensors", TENSORS)
    assert read_index(tmp_path) == take(tmp_path).entries
    assert [] == told(tmp_path)


def test_a_whole_file_goes_before_the_index(sharded: Path) -> None:
    """As transformers takes it: the shards count for nothing, and the file is named."""
    write_tensors(sharded / SINGLE_FILE, {name: (dtype, array + 9) for name, (dtype, array) in TENSORS.items()})
    assert {"a": 9.0, "b": 10.0, "c": 11.0} == values(sharded)
    assert [("index_mismatch", "", SINGLE_FILE)] == told(sharded)


def test_an_index_that_names_another_shard_is_told_and_misleads_nobody(sharded: Path) -> None:
    """Loaders read each shard whole. The tensor is named, with the file that has it."""
    edit_index(sharded, lambda files: files.update(a=SHARDS[1]))
    edit_index(sharded, lambda files: files.update(b=SHARDS[0]))
    assert {"a": 0.0, "b": 1.0, "c": 2.0} == values(sharded)
    assert [("index_mismatch", "a", SHARDS[0]), ("index_mismatch", "b", SHARDS[1])] == told(sharded)


def test_tensors_of_the_index_and_of_the_shards_are_the_same(sharded: Path) -> None:
    """One that no shard has, and one that the index does not list."""
    edit_index(sharded, lambda files: files.update(ghost=SHARDS[0]))
    write_tensors(sharded / SHARDS[2], {"c": TENSORS["c"], "d": TENSORS["a"]})
    assert [("index_mismatch", "d", SHARDS[2]), ("index_mismatch", "ghost", SHARDS[0])] == told(sharded)
    assert {"a", "b", "c", "d"} == set(values(sharded))


def test_a_shard_that_is_not_there_is_told_once(sharded: Path) -> None:
    """And not again for each of its tensors."""
    (sharded / SHARDS[1]).unlink()
    assert [("index_mismatch", "", SHARDS[1])] == told(sharded)
    assert {"a": 0.0, "c": 2.0} == values(sharded)


def test_a_tensor_in_two_shards_is_told(sharded: Path) -> None:
    """The later file overwrites the earlier."""
    write_tensors(sharded / SHARDS[1], {"b": TENSORS["b"], "a": TENSORS["c"]})
    assert ("tensor_duplicated", "a", SHARDS[1]) in told(sharded)
    assert 2.0 == values(sharded)["a"]


def test_a_file_that_nothing_names_is_told(sharded: Path) -> None:
    """Some loaders read every file."""
    write_tensors(sharded / "model-00099-of-00099.safetensors", TENSORS)
    assert [("index_mismatch", "", "model-00099-of-00099.safetensors")] == told(sharded)


def test_a_shard_cut_short_is_told_and_the_others_are_taken(sharded: Path) -> None:
    """Our reader's refusal is a word about the file."""
    (sharded / SHARDS[0]).write_bytes((sharded / SHARDS[0]).read_bytes()[:-1])
    assert [("file_unreadable", "", SHARDS[0])] == told(sharded)
    assert {"b": 1.0, "c": 2.0} == values(sharded)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": {}}', '{"weight_map": {"a": "../x.safetensors"}}'])
def test_an_index_that_is_none_is_told(sharded: Path, text: str) -> None:
    """It leads nowhere, least of all out of the directory; then nothing names the shards."""
    (sharded / INDEX_FILE).write_text(text, encoding="utf-8")
    expected = [("file_unreadable", "", INDEX_FILE), *(("index_mismatch", "", name) for name in SHARDS)]
    assert expected == told(sharded)
    assert {} == values(sharded)


def test_an_empty_directory_has_no_checkpoint(tmp_path: Path) -> None:
    """The file that was to be there is named."""
    assert [("file_missing", "", SINGLE_FILE)] == told(tmp_path)
