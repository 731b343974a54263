"""What a write left: its adapters, and the tensors of a checkpoint, each once or told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.checkpoints.base import write_base
from harness.checkpoints.naming import canonical_names
from harness.checkpoints.safetensors_file import SINGLE_FILE, read_header, read_tensor, write_file
from harness.errors import ArtifactError
from harness.records.cases import Dialect
from reference.stored import adapter_of, declared_config, saved_contradictions, saved_tensors, stored_tensors
from tests.observations import MOE, make_case

FUSED = "model.layers.1.mlp.experts.down_proj"


@pytest.mark.parametrize(
    ("folders", "form", "dialect", "expected"),
    [
        pytest.param(["adapter"], "lora", "", "adapter", id="the stack's own way"),
        pytest.param(["adapter-standard", "adapter-swapped"], "lora", "swapped", "adapter-swapped", id="a dialect"),
        pytest.param(["adapter-standard"], "lora", "swapped", "adapter-swapped", id="one that is not there"),
        pytest.param(["adapter"], "merged", "", "adapter", id="merged"),
        pytest.param(["adapter-swapped", "adapter-standard"], "merged", "", "adapter-standard", id="merged, dialects"),
        pytest.param([], "merged", "", "adapter", id="none at all"),
    ],
)
def test_a_read_is_about_the_adapter_of_its_dialect(
    tmp_path: Path, folders: list[str], form: str, dialect: Dialect, expected: str
) -> None:
    """And never about another in its place; a merge, which has none, is about any that is there."""
    for name in folders:
        (tmp_path / name).mkdir()
    assert tmp_path / expected == adapter_of(tmp_path, form, dialect)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A base checkpoint of one file."""
    write_base(tmp_path, MOE, make_case())
    return tmp_path


def remade(checkpoint: Path, more: dict[str, tuple[str, np.ndarray]]) -> Path:
    """Its file with these tensors too, or in the place of its own."""
    path = checkpoint / SINGLE_FILE
    held = {entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(path)}
    write_file(path, held | more)
    return checkpoint


def test_what_a_stack_saved_is_read_as_ours_is(checkpoint: Path) -> None:
    """Nothing speaks against it."""
    config = declared_config(checkpoint)
    ours, saved = stored_tensors(checkpoint, MOE, config), saved_tensors(checkpoint, MOE, config)
    assert () == saved.contradictions
    assert ours.keys() == saved.tensors.keys()
    assert all(np.array_equal(values, saved.tensors[name][1]) for name, (_, values) in ours.items())


def test_experts_that_are_there_fused_too_are_told_and_do_not_count(checkpoint: Path) -> None:
    """The stored name is the fused one; the values are those of the published names."""
    config = declared_config(checkpoint)
    parts = canonical_names(MOE, config, FUSED)
    before = stored_tensors(checkpoint, MOE, config)
    shape = before[parts[0]][1].shape
    remade(checkpoint, {FUSED: ("F32", np.zeros((len(parts), *shape), np.float32))})
    saved = saved_tensors(checkpoint, MOE, config)
    assert [("tensor_duplicated", FUSED, SINGLE_FILE)] == [
        (each.kind, each.tensor, each.file) for each in saved.contradictions
    ]
    assert all(np.array_equal(before[name][1], saved.tensors[name][1]) for name in parts)
    with pytest.raises(ArtifactError, match="stored by itself too"):
        stored_tensors(checkpoint, MOE, config)


def test_a_fused_tensor_of_another_shape_is_told(checkpoint: Path) -> None:
    """It stands for nothing, and what it should have stood for is missing."""
    config = declared_config(checkpoint)
    path = checkpoint / SINGLE_FILE
    held = {entry.name: (entry.dtype, read_tensor(entry)) for entry in read_header(path)}
    parts = canonical_names(MOE, config, FUSED)
    whole = {name: stored for name, stored in held.items() if name not in parts}
    write_file(path, {**whole, FUSED: ("F32", np.zeros((3, 4, 5), np.float32))})
    saved = saved_tensors(checkpoint, MOE, config)
    assert [("shape_mismatch", FUSED)] == [(each.kind, each.tensor) for each in saved.contradictions]
    assert set(parts) == set(held) - set(saved.tensors)


def test_a_tensor_in_a_dtype_that_nobody_decodes_is_told(checkpoint: Path) -> None:
    """And the others are read."""
    config = declared_config(checkpoint)
    count = len(stored_tensors(checkpoint, MOE, config))
    path = checkpoint / SINGLE_FILE
    content = path.read_bytes()
    name = "model.norm.weight"
    # A byte an element in place of four: the same bytes, four times as many elements.
    size = read_tensor(next(entry for entry in read_header(path) if entry.name == name)).size
    old = f'"{name}":{{"dtype":"F32","shape":[{size}]'.encode()
    new = f'"{name}":{{"dtype":"F8_E4M3","shape":[{4 * size}]'.encode()
    assert old in content
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].replace(old, new)
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[8 + length :])
    saved = saved_tensors(checkpoint, MOE, config)
    assert [("file_unreadable", name)] == [(each.kind, each.tensor) for each in saved.contradictions]
    assert count - 1 == len(saved.tensors)


def test_an_adapter_that_cannot_be_read_speaks_against_the_write(checkpoint: Path, tmp_path: Path) -> None:
    """By its path in the saved form; the whole one does not."""
    saved = saved_tensors(checkpoint, MOE, declared_config(checkpoint))
    for name in ("adapter-standard", "adapter-swapped"):
        (tmp_path / name).mkdir()
        write_file(tmp_path / name / "adapter_model.safetensors", {"a": ("F32", np.zeros(3, np.float32))})
    folders = [tmp_path / "adapter-standard", tmp_path / "adapter-swapped"]
    assert () == saved_contradictions(saved, folders)
    file = folders[1] / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    (found,) = saved_contradictions(saved, folders)
    assert ("file_unreadable", "adapter-swapped/adapter_model.safetensors") == (found.kind, found.file)
