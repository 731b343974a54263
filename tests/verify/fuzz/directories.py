"""Three directories held in memory, so that a damage is a change of a table, and how they are laid on a disk.

Knows no file's meaning. Each directory lies where a snapshot lies in the Hub's cache, so that a file called
`../../blobs/NAME` lies among the blobs.
"""

from __future__ import annotations

import os
import shutil
from enum import Enum
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Literal, NamedTuple

SideName = Literal["base", "adapter", "merged"]
SIDES: tuple[SideName, ...] = ("base", "adapter", "merged")
ITSELF = "."
"""The name of what stands in the directory's own place."""


class Link(NamedTuple):
    """A symbolic link."""

    target: str


class Locked(NamedTuple):
    """A file that its owner may not read."""

    data: bytes


class Special(Enum):
    """What is no file."""

    PIPE = "pipe"
    FOLDER = "folder"
    NOTHING = "nothing"


Node = bytes | Link | Locked | Special
Files = dict[str, Node]
"""By name, with `/` for what lies in folders."""
Triple = dict[SideName, Files]


def copied(triple: Triple) -> Triple:
    """Another that may be changed; what the files hold never is."""
    return {side: dict(files) for side, files in triple.items()}


def content(files: Files, name: str) -> bytes:
    """The bytes of a file, through links within `files` and to the blobs. Raises KeyError if there are none."""
    for _ in range(8):
        node = files[name]
        if isinstance(node, bytes):
            return node
        if not isinstance(node, Link):
            break
        name = normpath(join(dirname(name), node.target))
        if name.startswith("../../.."):
            break
    raise KeyError(name)


def put_down(triple: Triple, place: Path) -> dict[SideName, Path]:
    """Write the three directories below `place`, which is emptied before; returns where each is."""
    shutil.rmtree(place, ignore_errors=True)
    return {side: _put_down(files, place / side / "snapshots" / "1") for side, files in triple.items()}


def _put_down(files: Files, directory: Path) -> Path:
    directory.parent.mkdir(parents=True, exist_ok=True)
    if ITSELF in files:
        _write(directory, files[ITSELF])
        return directory
    directory.mkdir(exist_ok=True)
    made = {"", "."}
    for name, node in files.items():
        folder = os.path.dirname(name)
        if folder not in made:
            os.makedirs(directory / folder, exist_ok=True)
            made.add(folder)
        _write(directory / name, node)
    return directory


def _write(path: Path, node: Node) -> None:
    if isinstance(node, Link):
        path.symlink_to(node.target)
    elif node is Special.PIPE:
        os.mkfifo(path)
    elif node is Special.FOLDER:
        path.mkdir(exist_ok=True)
    elif isinstance(node, Locked):
        path.write_bytes(node.data)
        path.chmod(0)
    elif isinstance(node, bytes):
        path.write_bytes(node)
