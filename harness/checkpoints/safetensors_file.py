"""Reading and writing safetensors files, strictly, with bfloat16 in plain numpy.

Our own, because test environments hold numpy but no package that gives it bfloat16, and because files may come from
strangers: whatever is malformed is one ArtifactError. The format: https://huggingface.co/docs/safetensors (8 bytes of
header length, a JSON header, the data without holes). Knows nothing of models or families.
"""

from __future__ import annotations

import json
import math
import operator
import os
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.errors import ArtifactError

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
LENGTH_BYTES = 8
MAX_HEADER_BYTES = 100_000_000
"""The limit of the reference implementation, so that a damaged length does not fill the memory."""
MAX_AXES = 32
"""The limit of numpy 1."""

SIZES_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip
NUMPY_DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2",
    "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
"""How numpy reads each kind; BF16 as the upper halves of float32 numbers."""


class Deferred(NamedTuple):
    """A tensor to be written whose values are made when its turn comes, so that no more than one is held at a time."""

    shape: tuple[int, ...]
    values: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


Writable = tuple[str, np.ndarray | Deferred]
"""dtype as safetensors spells it, and values."""


class TensorEntry(NamedTuple):
    """One tensor of a file, not read yet."""

    name: str
    dtype: str
    """As safetensors spells it: F32, BF16, F16, I64, …"""
    shape: tuple[int, ...]
    path: Path
    start: int
    """Offset of its first byte in the file."""
    stop: int


def read_index(directory: Path) -> dict[str, TensorEntry]:
    """Every tensor of the checkpoint in `directory`: one file, or an index and its shards.

    Raises ArtifactError if there is none, if index and shards disagree, or if a tensor is there twice.
    """
    index_path, single = directory / INDEX_FILE, directory / SINGLE_FILE
    if index_path.exists() and single.exists():
        raise ArtifactError(f"both {SINGLE_FILE} and {INDEX_FILE} are there: which one counts?", where=str(directory))
    if index_path.exists():
        return _read_shards(directory, read_weight_map(index_path))
    paths = [single] if single.exists() else sorted(directory.glob("*.safetensors"))
    if not paths:
        raise ArtifactError("no *.safetensors file", where=str(directory))
    return _collect(paths)


def read_weight_map(index_path: Path) -> dict[str, str]:
    """Tensor to file of the directory, as an index has it. Raises ArtifactError if it has no such map."""
    try:
        index = json.loads(index_path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"index cannot be read: {error}", where=str(index_path)) from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ArtifactError("index has no weight_map", where=str(index_path))
    for name, file_name in weight_map.items():
        # Plain names only, so that no map reaches outside its directory, on any system.
        if not isinstance(file_name, str) or file_name in ("", ".", "..") or set(file_name) & set("/\\:\0"):
            raise ArtifactError(
                f"index leads {name!r} out of the directory", where=str(index_path), got=repr(file_name)
            )
    return weight_map


def read_header(path: Path) -> tuple[TensorEntry, ...]:
    """The tensors of one file in the order of its header. Raises ArtifactError on anything that is not as it should."""
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if size_bytes < LENGTH_BYTES or length > min(size_bytes - LENGTH_BYTES, MAX_HEADER_BYTES):
                raise ArtifactError("header length reaches past the end of the file", where=str(path), got=str(length))
            text = file.read(length)
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"not a safetensors file: {error}", where=str(path)) from error
    if not isinstance(header, dict):
        raise ArtifactError("header is not a JSON object", where=str(path))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(text, str) and _is_text(text) for text in (*metadata, *metadata.values())
    ):
        raise ArtifactError("__metadata__ is not a table of texts", where=str(path))
    data_start = LENGTH_BYTES + length
    entries = tuple(_entry(name, value, path, data_start) for name, value in header.items())
    _check_coverage(entries, path, data_start, size_bytes)
    return entries


def read_bytes(entry: TensorEntry) -> bytes:
    """A tensor's bytes as they are stored, for bit-identity."""
    try:
        with entry.path.open("rb") as file:
            file.seek(entry.start)
            data = file.read(entry.stop - entry.start)
    except OSError as error:
        raise ArtifactError(f"cannot be read: {error}", where=f"{entry.path}: {entry.name}") from error
    if len(data) != entry.stop - entry.start:
        raise ArtifactError("file ends inside this tensor", where=f"{entry.path}: {entry.name}")
    return data


def read_tensor(entry: TensorEntry) -> np.ndarray:
    """A tensor's values: F32, BF16 and F16 as float32 (which holds them exactly), everything else as it is."""
    kind = NUMPY_DTYPES.get(entry.dtype)
    if kind is None:
        raise ArtifactError(f"dtype {entry.dtype} cannot be decoded", where=f"{entry.path}: {entry.name}")
    try:
        stored = np.frombuffer(read_bytes(entry), dtype=kind).reshape(entry.shape)
    except ValueError as error:  # an empty tensor whose other axes are astronomical
        raise ArtifactError(f"shape cannot be held: {error}", where=f"{entry.path}: {entry.name}") from error
    if entry.dtype == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    if entry.dtype == "F16":
        return stored.astype(np.float32)
    return stored.astype(stored.dtype.newbyteorder("="))  # a copy, so that callers may write to it


def write_file(path: Path, tensors: Mapping[str, Writable]) -> None:
    """Write `tensors` (name to dtype and values) to one file. Equal tensors give equal bytes, whatever their order."""
    # Widest first, as the reference implementation does it: then every tensor starts at a multiple of its own size.
    names = sorted(tensors, key=lambda name: (-SIZES_BYTES[tensors[name][0]], name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        dtype, array = tensors[name]
        stop = offset + SIZES_BYTES[dtype] * array.size
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, stop]}
        offset = stop
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % LENGTH_BYTES)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(LENGTH_BYTES, "little"))
        file.write(text)
        for name in names:
            file.write(_encode(name, *tensors[name]))


def write_checkpoint(directory: Path, tensors: Mapping[str, Writable], *, shard_bytes: int | None) -> None:
    """Write `tensors` as one file, or in their order as shards of at most `shard_bytes` (at least one tensor each)."""
    sizes_bytes = {name: SIZES_BYTES[dtype] * array.size for name, (dtype, array) in tensors.items()}
    if shard_bytes is None or sum(sizes_bytes.values()) <= shard_bytes:
        write_file(directory / SINGLE_FILE, tensors)
        return
    shards: list[list[str]] = [[]]
    filled_bytes = 0
    for name, size_bytes in sizes_bytes.items():
        if shards[-1] and filled_bytes + size_bytes > shard_bytes:
            shards.append([])
            filled_bytes = 0
        shards[-1].append(name)
        filled_bytes += size_bytes
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file_name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_file(directory / file_name, {name: tensors[name] for name in names})
        weight_map |= dict.fromkeys(names, file_name)
    index = {"metadata": {"total_size": sum(sizes_bytes.values())}, "weight_map": weight_map}
    (directory / INDEX_FILE).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def round_to(dtype: str, array: np.ndarray) -> np.ndarray:
    """`array` rounded to "float32" or "bfloat16" (to nearest, ties to even), as float32."""
    if dtype == "float32":
        return array.astype(np.float32)
    if dtype == "bfloat16":
        return (_bfloat16_bits(array).astype(np.uint32) << 16).view(np.float32)
    raise ArtifactError("no rounding is known for this dtype", expected="float32 or bfloat16", got=dtype)


def _bfloat16_bits(array: np.ndarray) -> np.ndarray:
    """The bfloat16 numbers nearest to `array`, as uint16.

    Through float32, as torch casts: a float64 is rounded twice, which is what a merge in float32 stores.
    """
    # ascontiguousarray would turn a scalar into a vector; asarray with an order does not.
    values = np.asarray(array, dtype=np.float32, order="C")
    bits = values.view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
    # Adding would carry a NaN's payload into the sign, so a NaN keeps its upper half, made quiet.
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)


def _encode(name: str, dtype: str, tensor: np.ndarray | Deferred) -> bytes:
    array = tensor.values() if isinstance(tensor, Deferred) else tensor
    if array.shape != tensor.shape:
        raise ArtifactError(
            "values have another shape than promised", where=name, expected=f"{tensor.shape}", got=f"{array.shape}"
        )
    if dtype == "BF16":
        return _bfloat16_bits(array).astype("<u2").tobytes()
    return array.astype(NUMPY_DTYPES[dtype]).tobytes()


def _entry(name: str, value: Any, path: Path, data_start: int) -> TensorEntry:
    where = f"{path}: {name}"
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ArtifactError("header entry is malformed", where=where, expected="dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES_BYTES:
        raise ArtifactError("unknown dtype", where=where, expected=", ".join(SIZES_BYTES), got=repr(dtype)[:40])
    if not _is_sizes(shape) or len(shape) > MAX_AXES or not _is_sizes(offsets) or len(offsets) != 2:
        raise ArtifactError("shape or data_offsets are not lists of sizes", where=where)
    if not _is_text(name):
        raise ArtifactError("a tensor's name is no text", where=str(path), got=ascii(name)[:80])
    if not _is_countable(shape):
        raise ArtifactError("shape has more elements than can be counted", where=where, got=str(shape)[:80])
    start, stop = offsets
    if stop - start != math.prod(shape) * SIZES_BYTES[dtype]:
        raise ArtifactError(
            "shape and data_offsets disagree",
            where=where,
            expected=f"{math.prod(shape) * SIZES_BYTES[dtype]} bytes",
            got=f"{stop - start} bytes",
        )
    return TensorEntry(name, dtype, tuple(shape), path, data_start + start, data_start + stop)


def _is_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _is_text(text: str) -> bool:
    """JSON can spell half a character, and Rust's strings cannot hold it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_countable(shape: list[int]) -> bool:
    """Whether the product of the sizes fits into 64 bits at every step, as the reference implementation makes it."""
    return all(product < 2**64 for product in accumulate(shape, operator.mul))


def _check_coverage(entries: tuple[TensorEntry, ...], path: Path, data_start: int, size_bytes: int) -> None:
    """Tensors must follow each other from the first byte of the data to the last of the file, as the format says."""
    ordered = sorted(entries, key=lambda entry: (entry.start, entry.stop))
    for before, after in pairwise(ordered):
        if after.start != before.stop:
            problem = "overlaps" if after.start < before.stop else "leaves a hole after"
            raise ArtifactError(f"tensor {after.name!r} {problem} {before.name!r}", where=str(path))
    first, last = (ordered[0].start, ordered[-1].stop) if ordered else (data_start, data_start)
    if first != data_start or last != size_bytes:
        raise ArtifactError(
            "tensors do not cover the file (truncated, or something was appended)",
            where=str(path),
            expected=f"bytes {data_start} to {size_bytes}",
            got=f"{first} to {last}",
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a key is there twice")
    return items


def _read_shards(directory: Path, weight_map: dict[str, str]) -> dict[str, TensorEntry]:
    for file_name in sorted(set(weight_map.values())):
        if not os.path.isfile(directory / file_name):  # Path.is_file raises on names that are too long
            raise ArtifactError("index names a file that is not there", where=str(directory), got=file_name)
    entries = _collect([directory / file_name for file_name in sorted(set(weight_map.values()))])
    for name, file_name in weight_map.items():
        if name not in entries or entries[name].path.name != file_name:
            raise ArtifactError(f"index says {file_name} holds {name!r}, and it does not", where=str(directory))
    if unlisted := sorted(set(entries) - set(weight_map)):
        raise ArtifactError(f"{len(unlisted)} tensors are not in the index", where=str(directory), got=unlisted[0])
    return entries


def _collect(paths: list[Path]) -> dict[str, TensorEntry]:
    entries: dict[str, TensorEntry] = {}
    for path in paths:
        for entry in read_header(path):
            if entry.name in entries:
                files = f"{entries[entry.name].path.name} and {path.name}"
                raise ArtifactError(f"tensor {entry.name!r} is in both {files}", where=str(path.parent))
            entries[entry.name] = entry
    return entries
