"""Reading a stranger's directory: plain files of bounded size, strict JSON, no link that leads elsewhere.

Whatever is not as it should be is one ArtifactError that names the file. Knows nothing of what the files mean.
"""

from __future__ import annotations

import json
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from harness.errors import ArtifactError

MIB = 1024 * 1024
MAX_DEPTH = 64
"""Of brackets in brackets. Real files have less than ten; Python's own limit is a crash of the process's stack away."""
CHUNK_BYTES = MIB
FILE_ENDINGS = (".json", ".safetensors")
"""What is called so is a file, or was meant to mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How large a JSON file may be. Parsing makes an object of every value, and an empty list of 3 bytes becomes 64."""

    size_bytes: int
    num_values: int


SMALL = Limit(size_bytes=16 * MIB, num_values=1_000_000)
"""Configurations. The largest that are published have some hundred kilobytes."""
LARGE = Limit(size_bytes=128 * MIB, num_values=8_000_000)
"""tokenizer.json, vocabularies and indices. Gemma's tokenizer.json has 33 MB and 2.1 million values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A directory and the names of the files in it."""

    path: Path
    root: str
    """The resolved directory that no link may leave."""
    files: tuple[str, ...]
    """Sorted; everything that is no directory."""

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def checked(self, name: str) -> Path:
        """The path of a file that may be opened: plain, and in this directory. Raises ArtifactError."""
        path = self.path / name
        try:
            if path.is_symlink():
                _check_link(path, self.root)
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            raise ArtifactError(f"cannot be read: {reason(error)}", where=str(path)) from error
        if not stat.S_ISREG(mode):
            raise ArtifactError("is not a plain file", where=str(path))
        return path

    def open(self, name: str) -> BinaryIO:
        """The file, to be read. Raises ArtifactError if it is no plain file, without waiting for a pipe's other end."""
        path = self.checked(name)
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise ArtifactError("is not a plain file", where=str(path))
            return os.fdopen(descriptor, "rb")
        except OSError as error:
            raise ArtifactError(f"cannot be read: {reason(error)}", where=str(path)) from error

    def read(self, name: str, limit: Limit = SMALL) -> bytes:
        """All bytes of the file. Raises ArtifactError if it is larger than it may be."""
        try:
            with self.open(name) as file:
                data = file.read(limit.size_bytes + 1)
        except OSError as error:
            raise ArtifactError(f"cannot be read: {reason(error)}", where=str(self.path / name)) from error
        if len(data) > limit.size_bytes:
            raise ArtifactError(
                "is too large to be what it claims to be",
                where=str(self.path / name),
                expected=f"at most {limit.size_bytes // MIB} MiB",
            )
        return data

    def text(self, name: str, limit: Limit = SMALL) -> str:
        """The file as text, with the line ends that Python's text mode would give."""
        try:
            text = self.read(name, limit).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ArtifactError(f"is not UTF-8 text: {error.reason}", where=str(self.path / name)) from error
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def json(self, name: str, limit: Limit = SMALL) -> Any:
        """The JSON value in the file. Raises ArtifactError: not JSON, a key twice, no number, too deep, too large."""
        data = self.read(name, limit)
        where = str(self.path / name)
        # Every value but the first of its list or table has a comma before it: an upper bound before anything is made.
        if data.count(b",") + data.count(b"[") + data.count(b"{") > limit.num_values:
            raise ArtifactError("has too many values", where=where, expected=f"at most {limit.num_values}")
        try:
            value = json.loads(
                data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
            )
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"is not valid JSON: {reason(error)}", where=where) from error
        if _is_deeper_than(value, MAX_DEPTH):
            raise ArtifactError("has too many brackets in brackets", where=where, expected=f"at most {MAX_DEPTH}")
        return value

    def table(self, name: str, limit: Limit = SMALL) -> dict[str, Any]:
        """The JSON object in the file; empty if there is no such file."""
        if name not in self:
            return {}
        value = self.json(name, limit)
        if not isinstance(value, dict):
            raise ArtifactError("is not a JSON object", where=str(self.path / name), got=type(value).__name__)
        return value

    def child(self, name: str) -> Folder | None:
        """A directory in this one, if it is there; links in it may not leave this one."""
        path = self.path / name
        if not path.is_dir():
            return None
        if path.is_symlink():
            _check_link(path, self.root)
        return Folder(path=path, root=self.root, files=_files(path))


def open_folder(directory: Path) -> Folder:
    """The directory at `directory`, which may itself be reached by a link. Raises ArtifactError if it is none."""
    try:
        if not directory.is_dir():
            raise ArtifactError("is not a directory" if directory.exists() else "is not there", where=str(directory))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"cannot be read: {reason(error)}", where=str(directory)) from error
    return Folder(path=directory, root=os.path.realpath(directory), files=_files(directory))


def same_content(first: Folder, second: Folder, name: str) -> bool:
    """Whether both have this file with the same bytes, read in pieces."""
    with first.open(name) as one, second.open(name) as other:
        while True:
            chunk = one.read(CHUNK_BYTES)
            if chunk != other.read(CHUNK_BYTES):
                return False
            if not chunk:
                return True


def reason(error: BaseException) -> str:
    """What went wrong, in characters that any terminal shows: messages quote what strangers wrote."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.encode("ascii", "backslashreplace").decode("ascii")[:200]


def _files(directory: Path) -> tuple[str, ...]:
    try:
        with os.scandir(directory) as entries:
            folders = {entry.name: _is_folder(entry) for entry in entries}
    except OSError as error:
        raise ArtifactError(f"cannot be listed: {reason(error)}", where=str(directory)) from error
    for name, is_folder in sorted(folders.items()):
        if is_folder and name.endswith(FILE_ENDINGS):
            raise ArtifactError("is a directory, and no file", where=str(directory / name))
    return tuple(sorted(name for name, is_folder in folders.items() if not is_folder))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: whoever opens it is told
        return False


def _check_link(path: Path, root: str) -> None:
    """A link may point into its directory, or as the hub's cache does: from snapshots/REVISION to blobs beside it."""
    target = os.path.realpath(path)
    snapshots, _ = os.path.split(root)
    allowed = [root]
    if os.path.basename(snapshots) == "snapshots":
        allowed.append(os.path.join(os.path.dirname(snapshots), "blobs"))
    if not any(target.startswith(place.rstrip(os.sep) + os.sep) for place in allowed):
        raise ArtifactError(
            "is a link that leads out of its directory", where=str(path), next_step="Copy the file in place of the link"
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items = dict(pairs)
    if len(items) != len(pairs):
        raise ValueError("a key is there twice")
    return items


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is larger than any number")
    return value


def _is_deeper_than(value: Any, depth: int) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        containers = [item.values() if isinstance(item, dict) else item for item in level]
        level = [inner for items in containers for inner in items if type(inner) is dict or type(inner) is list]
        if not level:
            return False
    return True
