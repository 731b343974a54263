"""Malformed: safetensors files whose headers lie, or that end too early."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.verify.fuzz.damage import NOT_CONTAINED, Scene, damage, edit
from tests.verify.fuzz.damages.layouts import one_file
from tests.verify.fuzz.directories import Files, content
from tests.verify.fuzz.weights import INDEX, METADATA, apart, framed

NUM_MANY = 5_000
"""Tensors of nothing in one header: enough to see that the time they take grows as their number."""


def _file(scene: Scene, spoil: Callable[[bytes], bytes]) -> None:
    files, name = one_file(scene)
    files[name] = spoil(content(files, name))


def _header(scene: Scene, spoil: Callable[[dict[str, Any], str], object]) -> None:
    """Let `spoil` change the header, given the name of a tensor."""

    def spoiled(file: bytes) -> bytes:
        header, data = apart(file)
        spoil(header, scene.pick(sorted(set(header) - {METADATA})))
        return framed(json.dumps(header).encode(), data)

    _file(scene, spoiled)


def _length_bytes(file: bytes) -> int:
    return int.from_bytes(file[:8], "little")


@damage("malformed")
def cut_off(scene: Scene) -> None:
    """At any place: in the length, in the header, between and within tensors, one byte before the end."""

    def cut(file: bytes) -> bytes:
        end = 8 + _length_bytes(file)
        place = scene.draw.randrange(len(file))
        return file[: scene.pick([0, scene.draw.randrange(8), scene.draw.randrange(8, end), end, place, len(file) - 1])]

    _file(scene, cut)


@damage("malformed")
def appended(scene: Scene) -> None:
    """Bytes behind the last tensor, or the whole file again."""
    _file(scene, lambda file: file + scene.pick([b"\0", b"\0" * 4096, file, b"{}"]))


@damage("malformed")
def a_length_that_lies(scene: Scene) -> None:
    """Of the header: none, one byte, all, more than there is, more than there can be."""

    def lie(file: bytes) -> bytes:
        true = _length_bytes(file)
        lies = [0, 1, true - 1, true + 1, true - 8, true + 8, len(file) - 8, len(file) - 7, len(file), 2**31, 2**32]
        lies += [2**63 - 1, 2**63, 2**64 - 1, 2**64 - 8, true << 8, 100_000_000, 100_000_001]
        return scene.pick([each for each in lies if each != true]).to_bytes(8, "little") + file[8:]

    _file(scene, lie)


@damage("malformed")
def a_header_that_is_no_table(scene: Scene) -> None:
    """Other JSON, half of it, or none."""
    text = scene.pick(
        [
            b"[]",
            b"null",
            b"1",
            b'"model"',
            b"",
            b" " * 64,
            b"{",
            b"}",
            b"{}{}",
            b"{,}",
            b'{"a"}',
            b"\xff" * 16,
            b"\xef\xbb\xbf{}",
            "{}".encode("utf-16"),
            b"\0" * 32,
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"{'a': 1}",
            b'{"\xed\xa0\x80": 1}',
            b'{"__metadata__": NaN}',
            b"9" * 5000,
            b"// comment\n{}",
        ]
    )
    _file(scene, lambda file: framed(text, file[8 + _length_bytes(file) :]))


@damage("malformed")
def a_key_twice(scene: Scene) -> None:
    """A tensor, a field of one, the metadata: which of the two counts?"""

    def double(file: bytes) -> bytes:
        header, data = apart(file)
        name = scene.pick(sorted(set(header) - {METADATA}))
        entry, metadata = json.dumps(header[name]), json.dumps(header.get(METADATA, {}))
        text = json.dumps(header)
        doubled = [
            text.replace("{", f"{{{json.dumps(name)}: {entry}, ", 1),
            text.replace('"dtype"', '"dtype": "F32", "dtype"', 1),
            text.replace('"shape"', '"shape": [1], "shape"', 1),
            text[:-1] + f', "{METADATA}": {metadata}, "{METADATA}": {metadata}}}',
        ]
        return framed(scene.pick(doubled).encode(), data)

    _file(scene, double)


@damage("malformed")
def offsets_that_are_none(scene: Scene) -> None:
    """Negative, broken, texts, too many, too large."""
    offsets = scene.pick(
        [
            [-4, 0], [0, -1], [0.0, 64.0], [0, 64.5], ["0", "64"], [None, 64], [True, False], [0], [0, 64, 128], [], {},
            "0,64", None, 0, [2**63, 2**63 + 64], [2**64, 2**64 + 64], [10**400, 10**400], [[0], [64]], [64, 0],
        ]
    )  # fmt: skip
    _header(scene, lambda header, name: header[name].update(data_offsets=offsets))


@damage("malformed")
def offsets_elsewhere(scene: Scene) -> None:
    """Shifted, so that tensors overlap, leave a hole or reach past the end."""
    away = scene.pick([-64, -1, 1, 4, 64, 10**6, 2**40, 2**62])

    def shift(header: dict[str, Any], name: str) -> None:
        entry = header[name]
        start, stop = entry["data_offsets"]
        entry["data_offsets"] = [start + away, stop + away]

    _header(scene, shift)


@damage("malformed")
def all_offsets_elsewhere(scene: Scene) -> None:
    """A hole before the first, which the data has, or has not."""
    away = scene.pick([8, 64, 4096])
    has_hole = scene.pick([True, False])

    def shift(file: bytes) -> bytes:
        header, data = apart(file)
        for name in set(header) - {METADATA}:
            header[name]["data_offsets"] = [offset + away for offset in header[name]["data_offsets"]]
        return framed(json.dumps(header).encode(), b"\0" * (away if has_hole else 0) + data)

    _file(scene, shift)


@damage("malformed")
def two_tensors_in_one_place(scene: Scene) -> None:
    """Both sound, and the data of the second belongs to none."""

    def merge(header: dict[str, Any], name: str) -> None:
        alike = [key for key in header if key not in (name, METADATA) and header[key]["shape"] == header[name]["shape"]]
        if alike:
            header[scene.pick(sorted(alike))]["data_offsets"] = header[name]["data_offsets"]
        else:
            header["model.copy.weight"] = header[name]

    _header(scene, merge)


@damage("malformed")
def a_dtype_that_is_none(scene: Scene) -> None:
    """Unknown, of another case, or no text."""
    dtype = scene.pick(
        ["f32", "F33", "", "float32", "F4", "Q4_0", "object", "V4", None, 4, ["F32"], {"F32": 1}, "\ud800"]
    )
    _header(scene, lambda header, name: header[name].update(dtype=dtype))


@damage("malformed")
def a_dtype_of_another_size(scene: Scene) -> None:
    """The shape and the offsets then contradict each other."""

    def relabel(header: dict[str, Any], name: str) -> None:
        header[name]["dtype"] = "F64" if header[name]["dtype"] != "F64" else "F32"

    _header(scene, relabel)


@damage("malformed")
def a_shape_that_is_none(scene: Scene) -> None:
    """Of negative, broken, huge or too many numbers."""
    shape = scene.pick(
        [
            [-1], [-4, -4], [1.0], ["4"], [None], [True], [[4]], {}, "4", None, 7, [2**63], [2**64, 1], [10**400],
            [1] * 999, [2**32, 2**32], [2**31] * 4, [2**62, 4], [3037000500, 3037000500], [0] * 40,
        ]
    )  # fmt: skip
    _header(scene, lambda header, name: header[name].update(shape=shape))


@damage("malformed")
def an_entry_of_other_fields(scene: Scene) -> None:
    """One too many, one too few, or no table."""

    def spoil(header: dict[str, Any], name: str) -> None:
        entry = header[name]
        less = {key: entry[key] for key in scene.some(sorted(entry))[:2]}
        header[name] = scene.pick([{**entry, "strides": [1]}, less, {}, [], None, "F32", 1, [entry]])

    _header(scene, spoil)


@damage("malformed")
def metadata_that_is_none(scene: Scene) -> None:
    """No table, or one of other things than texts."""
    metadata = scene.pick([[], "pt", 1, True, {"format": 1}, {"format": None}, {"format": "\ud800"}])
    _header(scene, lambda header, name: header.update({METADATA: metadata}))


@damage("malformed")
def many_tensors_of_nothing(scene: Scene) -> None:
    """And one that overlaps: the error comes within the time, and the memory, that the size of the file allows."""
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    many: dict[str, Any] = {str(number): entry for number in range(NUM_MANY)}

    def fill(file: bytes) -> bytes:
        header, data = apart(file)
        return framed(json.dumps({**many, **header, "x": {**entry, "data_offsets": [5, 4]}}).encode(), data)

    _file(scene, fill)


@damage("harmful")
def many_tensors_more(scene: Scene) -> None:
    """Sound ones, of nothing, in merged."""
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    many: dict[str, Any] = {f"model.layers.{number}.x": entry for number in range(NUM_MANY)}
    files = scene.triple["merged"]
    name = scene.pick(sorted(name for name in files if name.endswith(".safetensors") and "/" not in name))
    header, data = apart(content(files, name))
    files[name] = framed(json.dumps({**header, **many}).encode(), data)


@damage("malformed", *NOT_CONTAINED)
def a_tensor_in_both_that_no_loader_reads(scene: Scene) -> None:
    """Base and merged are alike in it, and the reference implementation refuses both."""
    key, shape = scene.pick([("\ud800", [0]), ("model.x", [2**40, 2**40, 0]), ("model.x", [2**63, 2, 0])])
    for files in (scene.triple["base"], scene.triple["merged"]):
        name = min(name for name in files if name.endswith(".safetensors") and "/" not in name)
        header, data = apart(content(files, name))
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}
        files[name] = framed(json.dumps(header).encode(), data)
        if INDEX in files:
            _list(files, key, name)


def _list(files: Files, key: str, name: str) -> None:
    edit(files, INDEX, lambda index: index["weight_map"].update({key: name}))


@damage("malformed", *NOT_CONTAINED)
def a_name_that_is_none(scene: Scene) -> None:
    """Half a character, signs that act on a terminal, a name longer than any."""
    other = scene.pick(["\ud800", "\udfff.weight", "\x00", "\x1b[31mred", "\r\n", "x" * 70_000, "../../x", ""])

    def rename(header: dict[str, Any], name: str) -> None:
        header[other] = header.pop(name)

    _header(scene, rename)
