"""Malformed: directories without what they need, and what is no file in the place of one."""

from __future__ import annotations

import os

from tests.verify.fuzz.damage import ANY, REFUSED, Scene, damage
from tests.verify.fuzz.directories import ITSELF, Files, Link, Locked, Special, content
from tests.verify.fuzz.oracle import ADAPTER_CONFIG, CONFIG
from tests.verify.fuzz.weights import ADAPTER, INDEX

REDUNDANT = ("vocab.json", "merges.txt")
"""Files that nobody reads where there is a tokenizer.json."""
LOCKED_IS_FELT = hasattr(os, "geteuid") and os.geteuid() != 0
"""Nothing is locked to root."""


def read_file(scene: Scene) -> tuple[Files, str]:
    """A directory, and any file in it that is read."""
    files = scene.side()
    names = sorted(name for name in files if "/" not in name and name.endswith((".json", ".safetensors")))
    return files, scene.pick([name for name in names if name not in REDUNDANT])


def json_file(scene: Scene) -> tuple[Files, str]:
    """A directory, and any JSON file in it that is read."""
    files = scene.side()
    names = sorted(name for name in files if name.endswith(".json") and "/" not in name)
    return files, scene.pick([name for name in names if name not in REDUNDANT])


def _weights(files: Files) -> list[str]:
    return sorted(name for name in files if name.endswith(".safetensors") and "/" not in name)


@damage("malformed")
def no_directory(scene: Scene) -> None:
    """Nothing there, a file, an empty folder, a pipe."""
    files = scene.side()
    instead = scene.pick([Special.NOTHING, b"{}", Special.FOLDER, Special.PIPE, Link("nothing"), Link("1")])
    files.clear()
    files[ITSELF] = instead


@damage("malformed")
def another_directory_in_its_place(scene: Scene) -> None:
    """An adapter for a checkpoint, a checkpoint for an adapter."""
    if scene.draw.random() < 0.5:
        scene.triple["adapter"] = dict(scene.side("base", "merged"))
    else:
        scene.triple[scene.pick(["base", "merged"])] = dict(scene.triple["adapter"])  # type: ignore[index]


@damage("malformed")
def no_weights(scene: Scene) -> None:
    """The rest is there."""
    files = scene.side()
    for name in [*_weights(files), INDEX]:
        files.pop(name, None)


@damage("malformed")
def pickles_alone(scene: Scene) -> None:
    """Which may run any program."""
    files = scene.side()
    for name in _weights(files):
        files[name.replace(".safetensors", scene.pick([".bin", ".pt", ".pth"]))] = b"\x80\x02cos\nsystem\n."
        del files[name]
    files.pop(INDEX, None)


@damage("malformed")
def no_config(scene: Scene) -> None:
    """Of base or of the adapter."""
    side, name = scene.pick([("base", CONFIG), ("adapter", ADAPTER_CONFIG)])
    del scene.triple[side][name]  # type: ignore[index]


@damage("malformed")
def a_link_out(scene: Scene) -> None:
    """To another model's directory, where the very same file is: nothing but its place is wrong with it."""
    files, name = read_file(scene)
    other = "base" if files is not scene.triple["base"] else "merged"
    files[f"../../../{other}/snapshots/1/stolen"] = content(files, name)
    files[name] = Link(f"../../../{other}/snapshots/1/stolen")


@damage("malformed")
def a_link_to_a_device(scene: Scene) -> None:
    """That never ends, or never begins, or says what is nobody's business."""
    files, name = read_file(scene)
    files[name] = Link(scene.pick(["/dev/zero", "/dev/null", "/dev/stdin", "/proc/self/environ", "/dev"]))


@damage("malformed")
def a_link_to_nothing(scene: Scene) -> None:
    """Or to itself, or in a circle."""
    files, name = read_file(scene)
    files["circle"] = Link(name)
    files[name] = Link(scene.pick(["nothing", name, f"./{name}", "circle", "x" * 300, f"{name}/x"]))


@damage("malformed")
def no_plain_file(scene: Scene) -> None:
    """A folder, a pipe, a link to a folder."""
    files, name = read_file(scene)
    files["folder/inside"] = b""
    files[name] = scene.pick([Special.FOLDER, Special.PIPE, Link("folder"), Link("."), Link("..")])


@damage("malformed")
def an_empty_file(scene: Scene) -> None:
    """As a full disk leaves it."""
    files, name = read_file(scene)
    files[name] = b""


@damage("malformed", *([REFUSED] if LOCKED_IS_FELT else ANY))
def a_locked_file(scene: Scene) -> None:
    """Its owner may not read it."""
    files, name = read_file(scene)
    files[name] = Locked(content(files, name))


@damage("malformed")
def text_in_another_encoding(scene: Scene) -> None:
    """A mark before it, two bytes a letter, bytes that are no letter, half a pair of them."""
    files, name = json_file(scene)
    text = content(files, name)
    inside = (
        text.replace(b'"', b'"\xff', 1),
        text.replace(b'"', b'"\xed\xa0\x80', 1),
        text.replace(b'"', b'"\xc0\xae', 1),
    )
    files[name] = scene.pick([b"\xef\xbb\xbf" + text, text.decode().encode("utf-16"), text + b"\x00", *inside])


@damage("malformed")
def no_json_table(scene: Scene) -> None:
    """A list, a number, a text, half of it, other text behind it."""
    files, name = json_file(scene)
    text = content(files, name).rstrip()
    files[name] = scene.pick(
        [b"[" + text + b"]", b"null", b"1", b'"x"', text[:-1], text + b"}", text + text, b"<html>"]
    )


@damage("malformed")
def a_json_key_twice(scene: Scene) -> None:
    """With the same value, even."""
    files, name = json_file(scene)
    text = content(files, name)
    start = text.index(b'"')
    key = text[start : text.index(b'"', start + 1) + 1]
    files[name] = text.replace(b"{", b"{" + key + b": 1, ", 1)


@damage("edit", *ANY)
def a_file_of_the_adapter_in_merged(scene: Scene) -> None:
    """Left there by a tool: transformers with PEFT would load the adapter once more."""
    for name in scene.some([ADAPTER, ADAPTER_CONFIG]):
        scene.triple["merged"][name] = content(scene.triple["adapter"], name)


@damage("malformed")
def a_file_of_gigabytes(scene: Scene) -> None:
    """Of blanks, where a configuration should be."""
    files = scene.side()
    name = scene.pick([name for name in (CONFIG, ADAPTER_CONFIG, "generation_config.json") if name in files])
    files[name] = content(files, name) + b" " * (17 * 2**20)


@damage("malformed")
def many_values(scene: Scene) -> None:
    """In a configuration: more than any has."""
    files = scene.side()
    name = scene.pick([name for name in (CONFIG, ADAPTER_CONFIG, "generation_config.json") if name in files])
    files[name] = b'{"peft_type": "LORA", "a": [' + b"1," * 1_100_000 + b"1]}"
