"""Blind edits: of bytes, of JSON values, of headers, anywhere. What they do to the model, the oracle says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.verify.fuzz.damage import Scene, damage
from tests.verify.fuzz.damages.configs import HOSTILE
from tests.verify.fuzz.damages.files import json_file, read_file
from tests.verify.fuzz.damages.layouts import one_file
from tests.verify.fuzz.directories import content
from tests.verify.fuzz.weights import METADATA, apart, framed, table

PIECES = (
    b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"0", b"-", b"9", b"e", b".", b" ", b"\n", b"\0", b"\xff", b"null",
    b"true", b"NaN", b"1e999", b'"dtype"', b'"shape"', b'"data_offsets"', b"F32", b"BF16", b"\xe2\x82\xac", b"\\ud800",
    b"../", b'"__metadata__"', b"99999999999999999999",
)  # fmt: skip
"""What a blind edit puts in."""
FIELD_VALUES: tuple[Any, ...] = (
    0, 1, -1, 2, 4, 8, 16, 2**31, 2**53, 2**62, 2**63 - 1, 2**64, 1.0, "F32", "BF16", "F16", "I8", "U8", "F64", "I32",
    [], [0], [0, 0], [1], [16], [0, 64], [16, 16], [2**62, 0], None, "",
)  # fmt: skip
"""What a header's entry may be made to say."""


def spoiled(scene: Scene, data: bytes) -> bytes:
    """One blind edit of some bytes."""
    place = scene.draw.randrange(len(data) + 1)
    length = scene.pick([1, 1, 1, 2, 4, 8, 64])
    kind = scene.draw.randrange(6)
    if kind == 0 and data:
        flipped = bytearray(data)
        flipped[place % len(data)] ^= 1 << scene.draw.randrange(8)
        return bytes(flipped)
    if kind == 1:
        return data[:place] + scene.pick(PIECES) + data[place:]
    if kind == 2:
        return data[:place] + data[place + length :]
    if kind == 3:
        return data[:place] + scene.draw.randbytes(length) + data[place + length :]
    if kind == 4:
        return data[:place] + data[max(0, place - length) : place] + data[place:]
    piece = scene.pick(PIECES)
    return data[:place] + piece + data[place + len(piece) :]


def some_times(scene: Scene, spoil: Callable[[], None]) -> None:
    """Mostly once."""
    for _ in range(scene.pick([1, 1, 1, 2, 4])):
        spoil()


@damage("edit")
def bytes_of_a_file(scene: Scene) -> None:
    """Of any file that is read, at any place."""

    def spoil() -> None:
        files, name = read_file(scene)
        files[name] = spoiled(scene, content(files, name))

    some_times(scene, spoil)


@damage("edit")
def bytes_of_a_header(scene: Scene) -> None:
    """With a length that fits it."""
    files, name = one_file(scene)
    file = content(files, name)
    length = int.from_bytes(file[:8], "little")
    header = file[8 : 8 + length]
    for _ in range(scene.pick([1, 1, 2])):
        header = spoiled(scene, header)
    files[name] = framed(header, file[8 + length :])


@damage("edit")
def a_digit_of_a_header(scene: Scene) -> None:
    """Another digit in its place, so that it is still JSON."""
    files, name = one_file(scene)
    file = bytearray(content(files, name))
    length = int.from_bytes(file[:8], "little")
    places = [place for place in range(8, 8 + length) if chr(file[place]).isdigit()]
    file[scene.pick(places)] = ord(scene.pick("0123456789"))
    files[name] = bytes(file)


@damage("edit")
def bytes_of_the_data(scene: Scene) -> None:
    """The header stays as it is."""
    files, name = one_file(scene)
    file = bytearray(content(files, name))
    start = 8 + int.from_bytes(file[:8], "little")
    for _ in range(scene.pick([1, 1, 3])):
        file[scene.draw.randrange(start, len(file))] ^= 1 << scene.draw.randrange(8)
    files[name] = bytes(file)


@damage("edit")
def a_field_of_an_entry(scene: Scene) -> None:
    """dtype, shape or offsets, made to say something else."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    entry = header[scene.pick(sorted(set(header) - {METADATA}))]
    for _ in range(scene.pick([1, 2])):
        field = scene.pick(["dtype", "shape", "data_offsets"])
        held = entry[field]
        if isinstance(held, list) and held and scene.draw.random() < 0.6:
            entry[field] = [*held[:-1], scene.pick(FIELD_VALUES)] if scene.draw.random() < 0.5 else held[::-1]
        else:
            entry[field] = scene.pick(FIELD_VALUES)
    files[name] = framed(json.dumps(header).encode(), data)


@damage("edit")
def entries_exchanged(scene: Scene) -> None:
    """Two names for each other's places."""
    files, name = one_file(scene)
    header, data = apart(content(files, name))
    one, other = scene.draw.sample(sorted(set(header) - {METADATA}), 2)
    header[one], header[other] = header[other], header[one]
    files[name] = framed(json.dumps(header).encode(), data)


@damage("edit")
def a_value_of_a_file(scene: Scene) -> None:
    """Anywhere in any JSON: changed, lost, renamed, doubled, moved."""
    files, name = json_file(scene)
    fields = table(content(files, name))
    for _ in range(scene.pick([1, 1, 1, 2, 3])):
        _spoil_value(scene, fields)
    files[name] = json.dumps(fields).encode()


def _spoil_value(scene: Scene, value: Any) -> None:
    """Go down into `value` by any way, and change what is there."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = scene.pick(keys)
        if not isinstance(value[key], dict | list) or not value[key] or scene.draw.random() < 0.2:
            break
        value = value[key]
    kind = scene.draw.randrange(4)
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        value[scene.pick([f"{key}_", key[:-1], scene.pick(keys), ""])] = value.pop(key)
    elif kind == 2:
        value[key] = value[scene.pick(keys)]
    else:
        value[key] = scene.pick([*HOSTILE, _moved(scene, value[key])])


def _moved(scene: Scene, value: Any) -> Any:
    if isinstance(value, str):
        return value + scene.pick(["x", " ", "."])
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value + scene.pick([-1, 1, 1000, 0.5])
    return not value
