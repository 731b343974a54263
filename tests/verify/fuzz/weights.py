"""Safetensors files and checkpoints as tables of bytes: a second reader and writer, which shares no line with ours.

It refuses what the reference implementation refuses, and knows one family's names: those of Qwen's experts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import accumulate, groupby
from math import prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from tests.verify.fuzz.directories import Files, content

ADAPTER = "adapter_model.safetensors"
WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
METADATA = "__metadata__"
DTYPES = {
    "BOOL": "?", "U8": "<u1", "I8": "<i1", "F8_E4M3": "<u1", "F8_E5M2": "<u1", "U16": "<u2", "I16": "<i2",
    "F16": "<f2", "BF16": "<u2", "U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
"""As numpy reads them; BF16 as the upper halves of float32 numbers."""
MAX_EXPERTS = 64
"""What claims to be more is left as it is."""
_APART = re.compile(r"(.*\.mlp\.experts\.)(\d+)\.(gate|up|down)_proj\.weight")
_FUSED = re.compile(r"(.*\.mlp\.experts\.)(gate_up|down)_proj")


class Unreadable(Exception):
    """No reader could make sense of it."""


class Tensor(NamedTuple):
    """One tensor as it is stored."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


Tensors = dict[str, Tensor]
Shards = dict[str, Tensors]
"""By the file's name."""


def pack(tensors: Mapping[str, Tensor], *, metadata: Any = None, order: Iterable[str] | None = None) -> bytes:
    """A file whose header lists `tensors` as they come, and whose data stands in `order`, or as they come."""
    offsets: dict[str, list[int]] = {}
    pieces = []
    stop = 0
    for name in tensors if order is None else order:
        data = tensors[name].data
        offsets[name] = [stop, stop := stop + len(data)]
        pieces.append(data)
    header: dict[str, Any] = {METADATA: {"format": "pt"} if metadata is None else metadata}
    for name, tensor in tensors.items():
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets[name]}
    return framed(json.dumps(header).encode(), b"".join(pieces))


def framed(header: bytes, data: bytes) -> bytes:
    """A file with this header and this data."""
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


def apart(file: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the data of a file that is sound as far as that. Raises Unreadable."""
    length = int.from_bytes(file[:8], "little")
    if len(file) < 8 or length > len(file) - 8 or file[8:9] != b"{":
        raise Unreadable("header")
    header = table(file[8 : 8 + length])
    try:
        json.dumps(header, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:  # half a surrogate pair
        raise Unreadable("no Unicode") from error
    return header, file[8 + length :]


def unpack(file: bytes) -> Tensors:
    """The tensors of a file. Raises Unreadable where the reference implementation raises."""
    return dict(_unpacked(file))


@lru_cache(maxsize=32)
def _unpacked(file: bytes) -> Tensors:
    header, data = apart(file)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Unreadable("metadata")
    placed = [(_offsets(entry), name, entry) for name, entry in header.items()]
    stop = 0
    tensors: Tensors = {}
    for (first, last), name, entry in sorted(placed, key=lambda each: each[0]):
        dtype, shape = entry["dtype"], entry["shape"]
        factors = [*shape, np.dtype(DTYPES[dtype]).itemsize]
        if any(size >= 2**64 for size in accumulate(factors, mul)):  # even if a zero follows
            raise Unreadable("shape")
        size_bytes = prod(factors)
        if first != stop or last - first != size_bytes or last > len(data):
            raise Unreadable("offsets")
        tensors[name] = Tensor(dtype, tuple(shape), data[first:last])
        stop = last
    if stop != len(data):
        raise Unreadable("a rest")
    return {name: tensors[name] for name in header}


def _offsets(entry: Any) -> tuple[int, int]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise Unreadable("entry")
    sizes = (entry["shape"], entry["data_offsets"])
    if any(
        type(item) is not int or not 0 <= item < 2**64 for items in sizes if isinstance(items, list) for item in items
    ):
        raise Unreadable("sizes")
    if not all(isinstance(items, list) for items in sizes) or len(entry["data_offsets"]) != 2:
        raise Unreadable("sizes")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise Unreadable("dtype")
    return entry["data_offsets"][0], entry["data_offsets"][1]


def table(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`, by the letter of the standard. Raises Unreadable."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    if not isinstance(value, dict):
        raise Unreadable("no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("twice")
    return dict(pairs)


def _no_number(name: str) -> Any:
    raise ValueError(name)


def shards_of(files: Files) -> Shards:
    """All files with weights in a directory, the adapter's among them. Raises Unreadable, or KeyError for no file."""
    names = [name for name in files if name.endswith(".safetensors") and "/" not in name]
    return {name: unpack(content(files, name)) for name in names}


def tensors_of(files: Files) -> Tensors:
    """All tensors of a directory together."""
    return {name: tensor for tensors in shards_of(files).values() for name, tensor in tensors.items()}


def store(files: Files, shards: Shards) -> None:
    """Put `shards` in the place of the weights of `files`, with an index that is true, where there must be one."""
    metadata: dict[str, Any] = {}
    if INDEX in files:
        metadata = table(content(files, INDEX)).get("metadata", {})
        del files[INDEX]
    for name in [name for name in files if name.endswith(".safetensors") and "/" not in name]:
        del files[name]
    files.update({name: pack(tensors) for name, tensors in shards.items() if tensors})
    if set(shards) & {WHOLE, ADAPTER}:
        return
    total_bytes = sum(len(tensor.data) for tensors in shards.values() for tensor in tensors.values())
    weight_map = {name: file for file, tensors in shards.items() for name in tensors}
    index = {"metadata": {**metadata, "total_size": total_bytes}, "weight_map": weight_map}
    files[INDEX] = json.dumps(index).encode()


def change(files: Files, edit: Callable[[Tensors], object]) -> None:
    """Let `edit` change the tensors of a directory, an expert a tensor, and store them as they were laid out.

    New ones go into the last file; experts stay apart if they can no longer be joined.
    """
    shards = shards_of(files)
    homes = {name: file for file, tensors in shards.items() for name in tensors}
    held = tensors_of(files)
    tensors = split(held)
    edit(tensors)
    joined = fuse(tensors) if any(_FUSED.fullmatch(name) for name in held) else tensors
    stored: Shards = {file: {} for file in shards}
    for name, tensor in joined.items():
        stored[homes.get(name, list(shards)[-1])][name] = tensor
    store(files, stored)


def split(tensors: Mapping[str, Tensor]) -> Tensors:
    """With an expert a tensor."""
    found: Tensors = {}
    for name, tensor in tensors.items():
        match = _FUSED.fullmatch(name)
        if match is None or len(tensor.shape) != 3 or not 0 < tensor.shape[0] <= MAX_EXPERTS:
            found[name] = tensor
            continue
        num_experts, rows, columns = tensor.shape
        parts = ("gate", "up") if match[2] == "gate_up" else ("down",)
        pieces = cut(tensor.data, num_experts * len(parts))
        for number, piece in enumerate(pieces):
            expert, part = divmod(number, len(parts))
            place = f"{match[1]}{expert}.{parts[part]}_proj.weight"
            found[place] = Tensor(tensor.dtype, (rows // len(parts), columns), piece)
    return found


def fuse(tensors: Mapping[str, Tensor]) -> Tensors:
    """With all experts of a layer in one tensor, wherever their shapes and numbers allow it."""
    found = {name: tensor for name, tensor in tensors.items() if not _APART.fullmatch(name)}
    experts = [(match, tensors[match[0]]) for name in tensors if (match := _APART.fullmatch(name))]
    for parts, fused in ((("gate", "up"), "gate_up"), (("down",), "down")):
        mine = [each for each in experts if each[0][3] in parts]
        mine.sort(key=lambda each: (each[0][1], int(each[0][2]), each[0][3]))
        for head, group in groupby(mine, key=lambda each: each[0][1]):
            members = list(group)
            numbers = [int(match[2]) for match, _ in members]
            wanted = [number for number in range(len(members) // len(parts)) for _ in parts]
            kinds = {tensor[:2] for _, tensor in members}
            if numbers != wanted or len(kinds) != 1 or len(members[0][1].shape) != 2:
                found |= {match[0]: tensor for match, tensor in members}
                continue
            [(dtype, (rows, columns))] = kinds
            shape = (numbers[-1] + 1, rows * len(parts), columns)
            found[f"{head}{fused}_proj"] = Tensor(dtype, shape, b"".join(tensor.data for _, tensor in members))
    return found


def cut(data: bytes, num_pieces: int) -> list[bytes]:
    """`data` in pieces of one size."""
    size = len(data) // num_pieces
    return [data[number * size : (number + 1) * size] for number in range(num_pieces)]


def numbers(tensor: Tensor) -> np.ndarray:
    """A tensor's values, in float64."""
    stored = np.frombuffer(tensor.data, DTYPES[tensor.dtype]).reshape(tensor.shape)
    if tensor.dtype == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(invalid="ignore"):  # a signalling NaN
        return stored.astype(np.float64)


def tensor_of(dtype: str, values: np.ndarray) -> Tensor:
    """Values rounded as a merge in float32 stores them."""
    with np.errstate(over="ignore", invalid="ignore"):
        single = np.ascontiguousarray(values, dtype=np.float32)
        if dtype == "BF16":
            bits = single.view(np.uint32)
            single = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        return Tensor(dtype, np.shape(values), single.astype(DTYPES[dtype]).tobytes())
