"""Tests of the safetensors reader and writer."""

from __future__ import annotations

import json
import struct
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.checkpoints.safetensors_file import (
    INDEX_FILE,
    SINGLE_FILE,
    Deferred,
    read_bytes,
    read_header,
    read_index,
    read_tensor,
    round_to,
    write_checkpoint,
    write_file,
)
from harness.errors import ArtifactError

VALUES = np.array([[1.5, -0.25, 3.140625], [0.0, -2.0, 1e-3]], dtype=np.float32)


def write_raw(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with any header at all."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(start: int, stop: int, shape: list[Any] | None = None, dtype: str = "F32") -> dict[str, Any]:
    """A header entry; the shape follows from the offsets where it is left out."""
    return {"dtype": dtype, "shape": [(stop - start) // 4] if shape is None else shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("dtype", "array"),
    [
        ("F32", VALUES),
        ("BF16", round_to("bfloat16", VALUES)),
        ("F16", VALUES.astype(np.float16).astype(np.float32)),
        ("F64", VALUES.astype(np.float64)),
        ("I64", np.array([-1, 2**40], dtype=np.int64)),
        ("U8", np.arange(5, dtype=np.uint8)),
        ("BOOL", np.array([True, False])),
        ("F32", np.zeros((3, 0), dtype=np.float32)),
        ("BF16", np.array(-1.5, dtype=np.float32)),
    ],
    ids=["f32", "bf16", "f16", "f64", "i64", "u8", "bool", "empty", "scalar"],
)
def test_tensors_come_back_as_they_were_written(tmp_path: Path, dtype: str, array: np.ndarray) -> None:
    """A tensor keeps its dtype, shape and values through a file."""
    write_file(tmp_path / "t.safetensors", {"t": (dtype, array)})
    (read,) = read_header(tmp_path / "t.safetensors")
    assert (dtype, array.shape) == (read.dtype, read.shape)
    np.testing.assert_array_equal(array, read_tensor(read), strict=True)


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (1.0 + 2**-8, 0x3F80),
        (1.0 + 2**-8 + 2**-20, 0x3F81),
        (1.0 + 3 * 2**-8, 0x3F82),
        (-3.140625, 0xC049),
        (0.1, 0x3DCD),
        (-0.0, 0x8000),
        (1e-40, 0x0001),
        (3.4028235e38, 0x7F80),
        (float("-inf"), 0xFF80),
        (float("nan"), 0x7FC0),
    ],
    ids=str,
)
def test_bfloat16_rounds_to_nearest_even(tmp_path: Path, value: float, bits: int) -> None:
    """Stored bfloat16 bits are the nearest ones, ties to even, and round_to gives the number that they mean."""
    array = np.array([value], dtype=np.float32)
    write_file(tmp_path / "t.safetensors", {"t": ("BF16", array)})
    (read,) = read_header(tmp_path / "t.safetensors")
    assert bits == int.from_bytes(read_bytes(read), "little")
    np.testing.assert_array_equal(read_tensor(read), round_to("bfloat16", array), strict=True)


def test_round_to_float32_narrows_and_other_dtypes_are_refused() -> None:
    """float64 is rounded to float32, and a dtype without a rule is an error."""
    assert np.float32 == round_to("float32", np.array([0.1])).dtype
    with pytest.raises(ArtifactError, match="no rounding"):
        round_to("int4", VALUES)


def test_files_do_not_depend_on_the_order_of_tensors(tmp_path: Path) -> None:
    """Equal tensors give equal bytes, and every tensor starts at a multiple of its own size."""
    tensors = {"b": ("F32", VALUES), "odd": ("BF16", VALUES[0]), "a": ("F32", VALUES * 2)}
    write_file(tmp_path / "1.safetensors", tensors)
    write_file(tmp_path / "2.safetensors", dict(reversed(tensors.items())))
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()
    assert [0, 0, 0] == [
        read.start % {"F32": 4, "BF16": 2}[read.dtype] for read in read_header(tmp_path / "1.safetensors")
    ]


def test_shards_hold_what_one_file_holds(tmp_path: Path) -> None:
    """Sharding changes the files (at most shard_bytes each, or one tensor), and nothing that is read from them."""
    tensors = {f"t{i}": ("F32", np.full((i + 1,), i, np.float32)) for i in range(6)}
    single, sharded = tmp_path / "single", tmp_path / "sharded"
    for directory, shard_bytes in ((single, None), (sharded, 12)):
        directory.mkdir()
        write_checkpoint(directory, tensors, shard_bytes=shard_bytes)
    assert [SINGLE_FILE] == [path.name for path in single.iterdir()]
    assert {INDEX_FILE, *(f"model-{i:05d}-of-00005.safetensors" for i in range(1, 6))} == {
        path.name for path in sharded.iterdir()
    }
    whole, parts = read_index(single), read_index(sharded)
    assert {name: read_bytes(read) for name, read in whole.items()} == {
        name: read_bytes(read) for name, read in parts.items()
    }


@pytest.mark.parametrize(
    ("header", "data", "message"),
    [
        (b"{not json", b"", "not a safetensors file"),
        (b"\xff\xfe", b"", "not a safetensors file"),
        (b"[" * 100_000, b"", "not a safetensors file"),
        ([1, 2], b"", "not a JSON object"),
        ({"__metadata__": {"n": 1}}, b"", "__metadata__"),
        (b'{"t": 1, "t": 2}', b"", "there twice"),
        ({"t": {"dtype": "F32", "shape": [1]}}, b"", "malformed"),
        ({"t": entry(0, 4, dtype="F12")}, bytes(4), "unknown dtype"),
        ({"t": entry(0, 4, dtype=["F32"])}, bytes(4), "unknown dtype"),  # type: ignore[arg-type]
        ({"t": entry(0, 4, shape=[True])}, bytes(4), "not lists of sizes"),
        ({"t": entry(0, 4, shape=[-1])}, bytes(4), "not lists of sizes"),
        ({"t": entry(0, 4, shape=[1] * 40)}, bytes(4), "not lists of sizes"),
        ({"t": entry(0, 4, shape=[2])}, bytes(4), "disagree"),
        ({"t": entry(4, 0, shape=[1])}, bytes(4), "disagree"),
        ({"t": entry(0, 8), "u": entry(4, 12)}, bytes(12), "overlaps"),
        ({"t": entry(0, 4), "u": entry(8, 12)}, bytes(12), "hole"),
        ({"t": entry(4, 8)}, bytes(8), "do not cover"),
        ({"t": entry(0, 8)}, bytes(4), "do not cover"),
        ({"t": entry(0, 4)}, bytes(8), "do not cover"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_malformed_headers_are_named(tmp_path: Path, header: Any, data: bytes, message: str) -> None:
    """Each way in which a header can lie is an ArtifactError that says so and names the file."""
    path = write_raw(tmp_path / "bad.safetensors", header, data)
    with pytest.raises(ArtifactError, match=message) as raised:
        read_header(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 8, struct.pack("<Q", 9) + b"{}"], ids=repr)
def test_damaged_header_lengths_are_refused(tmp_path: Path, content: bytes) -> None:
    """A header that cannot be in the file is not read."""
    (tmp_path / "bad.safetensors").write_bytes(content)
    with pytest.raises(ArtifactError):
        read_header(tmp_path / "bad.safetensors")


def test_impossible_empty_shapes_are_refused(tmp_path: Path) -> None:
    """A tensor of no bytes with astronomical axes is an error and not a crash."""
    path = write_raw(tmp_path / "t.safetensors", {"t": entry(0, 0, shape=[0, 2**62, 2**62])})
    with pytest.raises(ArtifactError, match="shape"):
        read_tensor(read_header(path)[0])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(st.data())
def test_damage_is_an_artifact_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever single damage is done to a file, reading it either works or raises an ArtifactError."""
    path = tmp_path / "t.safetensors"
    write_file(path, {"a": ("F32", VALUES), "b": ("BF16", VALUES[0])})
    content = bytearray(path.read_bytes())
    header_end = 8 + int.from_bytes(content[:8], "little")
    start = data.draw(st.integers(0, header_end - 1))
    stop = data.draw(st.integers(start, min(start + 6, header_end)))
    content[start:stop] = data.draw(st.binary(max_size=6))
    path.write_bytes(content)
    try:
        for read in read_header(path):
            read_tensor(read)
    except ArtifactError:
        pass


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_truncated_file_is_never_read(tmp_path: Path, data: st.DataObject) -> None:
    """A file that ends early is an ArtifactError, wherever it ends."""
    path = tmp_path / "t.safetensors"
    write_file(path, {"a": ("F32", VALUES)})
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ArtifactError):
        read_header(path)


def break_missing_shard(directory: Path, _index: dict[str, Any]) -> None:
    """A shard is not there."""
    (directory / "model-00002-of-00002.safetensors").unlink()


def break_duplicate(directory: Path, _index: dict[str, Any]) -> None:
    """A tensor is in two shards."""
    write_file(directory / "model-00002-of-00002.safetensors", {"a": ("F32", VALUES), "b": ("F32", VALUES)})


def break_misplaced(_directory: Path, index: dict[str, Any]) -> None:
    """The index names the wrong shard."""
    index["weight_map"]["a"] = index["weight_map"]["b"]


def break_unlisted(_directory: Path, index: dict[str, Any]) -> None:
    """A tensor of a listed shard is not in the index."""
    del index["weight_map"]["c"]


def break_empty(_directory: Path, index: dict[str, Any]) -> None:
    """The index lists nothing."""
    index["weight_map"] = {}


def break_both(directory: Path, _index: dict[str, Any]) -> None:
    """There is a single file beside the index."""
    write_file(directory / SINGLE_FILE, {"a": ("F32", VALUES)})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_missing_shard, "not there"),
        (break_duplicate, "in both"),
        (break_misplaced, "does not"),
        (break_unlisted, "not in the index"),
        (break_empty, "no weight_map"),
        (break_both, "which one"),
    ],
)
def test_an_index_that_does_not_fit_its_shards_is_named(
    tmp_path: Path, damage: Callable[[Path, dict[str, Any]], None], message: str
) -> None:
    """Index and shards must say the same, both ways."""
    tensors = {"a": ("F32", VALUES), "b": ("F32", VALUES), "c": ("F32", VALUES[:0])}
    write_checkpoint(tmp_path, tensors, shard_bytes=24)
    assert {"a", "b", "c"} == set(read_index(tmp_path))
    index = json.loads((tmp_path / INDEX_FILE).read_text())
    damage(tmp_path, index)
    (tmp_path / INDEX_FILE).write_text(json.dumps(index))
    with pytest.raises(ArtifactError, match=message):
        read_index(tmp_path)


@pytest.mark.parametrize("name", ["../x.safetensors", "/x", "a/../../x", "..", "", "C:x", "a\\b", "a\0b", 7], ids=repr)
def test_an_index_cannot_lead_out_of_its_directory(tmp_path: Path, name: Any) -> None:
    """A weight map may hold plain file names only."""
    (tmp_path / INDEX_FILE).write_text(json.dumps({"weight_map": {"t": name}}))
    with pytest.raises(ArtifactError, match="out of the directory"):
        read_index(tmp_path)


@pytest.mark.parametrize("name", ["x" * 5000, "\ud800"], ids=["too long", "surrogate"])
def test_an_index_with_impossible_file_names_is_refused(tmp_path: Path, name: str) -> None:
    """A name that no file can have is a missing file."""
    (tmp_path / INDEX_FILE).write_text(json.dumps({"weight_map": {"t": name}}))
    with pytest.raises(ArtifactError, match="not there"):
        read_index(tmp_path)


def test_a_directory_without_tensors_is_refused(tmp_path: Path) -> None:
    """Nothing to read is an error, never an empty checkpoint."""
    with pytest.raises(ArtifactError, match=r"no \*\.safetensors"):
        read_index(tmp_path)


def test_adapters_are_read_too(tmp_path: Path) -> None:
    """A directory whose only file is an adapter's is read like a checkpoint."""
    write_file(tmp_path / "adapter_model.safetensors", {"a": ("F32", VALUES)})
    assert ["a"] == list(read_index(tmp_path))


@pytest.mark.parametrize("shard_bytes", [None, 64], ids=["whole", "shards"])
def test_deferred_tensors_are_made_one_at_a_time(tmp_path: Path, shard_bytes: int | None) -> None:
    """Each once, when its turn comes and the one before is given up; the files are those of tensors that were there."""
    arrays = {f"t{number}": VALUES * number for number in range(5)}
    made: list[weakref.ref[np.ndarray]] = []

    def make(name: str) -> np.ndarray:
        assert not [reference for reference in made if reference() is not None]
        array = arrays[name].copy()
        made.append(weakref.ref(array))
        return array

    deferred = {name: ("F32", Deferred(array.shape, partial(make, name))) for name, array in arrays.items()}
    for directory, tensors in (("now", {name: ("F32", array) for name, array in arrays.items()}), ("later", deferred)):
        (tmp_path / directory).mkdir()
        write_checkpoint(tmp_path / directory, tensors, shard_bytes=shard_bytes)

    assert len(arrays) == len(made)
    files = {path.name: path.read_bytes() for path in (tmp_path / "now").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "later").iterdir()}


def test_deferred_values_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The header was written for the shape that was promised."""
    tensors = {"t": ("F32", Deferred((3, 2), lambda: VALUES))}

    with pytest.raises(
        ArtifactError, match=r"t: values have another shape than promised; expected \(3, 2\); got \(2, 3\)"
    ):
        write_file(tmp_path / "t.safetensors", tensors)
