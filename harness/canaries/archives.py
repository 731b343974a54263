"""Reads wheels, source archives and folders of strangers: with limits, and nothing is ever unpacked where it says.

Only Python files are kept, and templates that packages read when they are imported; the rest is counted and
left. Raises ArtifactError for whatever is beyond a limit.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from harness.errors import ArtifactError

KEPT = (".py", ".jinja")
MAX_ARCHIVE_BYTES = 256 * 2**20
MAX_MEMBERS = 50_000
MAX_FILE_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20
"""Of all files that are kept, unpacked."""


_MALFORMED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RuntimeError)
"""What the two libraries raise; NotImplementedError is a RuntimeError."""


class Read(NamedTuple):
    """What was read."""

    files: dict[str, bytes]
    """What is kept by path, sorted."""
    digest: str
    """sha256 of the archive, or of the files of a folder."""


def read_archive(path: Path) -> Read:
    """A wheel (.whl) or a source archive (.tar.gz, .zip), whose one folder is left off the paths."""
    if path.stat().st_size > MAX_ARCHIVE_BYTES:
        raise _beyond(path, f"{MAX_ARCHIVE_BYTES} bytes", f"{path.stat().st_size}")
    content = path.read_bytes()
    try:
        if path.suffix in (".whl", ".zip"):
            files = _limited(_zipped(content, path), path)
        else:
            files = _limited(_tarred(content, path), path)
    except _MALFORMED as error:
        raise ArtifactError(f"is no archive that can be read: {error}", where=path.name) from error
    if path.suffix != ".whl":
        files = _without_top(files)
    return Read(files, hashlib.sha256(content).hexdigest())


def read_folder(directory: Path) -> Read:
    """What is kept of a folder's files; links are not followed, and folders whose names begin with a dot are left."""

    def listed() -> Iterator[tuple[str, bytes]]:
        for path in sorted(path for suffix in KEPT for path in directory.rglob(f"*{suffix}")):
            relative = path.relative_to(directory)
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in relative.parts):
                continue
            if path.stat().st_size > MAX_FILE_BYTES:
                raise _beyond(path, f"{MAX_FILE_BYTES} bytes", f"{path.stat().st_size}")
            yield relative.as_posix(), path.read_bytes()

    files = _limited(listed(), directory)
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Read(files, digest.hexdigest())


def _zipped(content: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        if len(members) > MAX_MEMBERS:
            raise _beyond(path, f"{MAX_MEMBERS} members", f"{len(members)}")
        for member in members:
            name = _checked(member.filename, path)
            if not member.is_dir() and name.endswith(KEPT):
                with archive.open(member) as file:
                    yield name, _read(file, path, name)


def _tarred(content: bytes, path: Path) -> Iterator[tuple[str, bytes]]:
    # As a stream: a member is read when it comes, and no list of them is made.
    with tarfile.open(fileobj=io.BytesIO(content), mode="r|*") as archive:
        read = 0
        for number, member in enumerate(archive):
            read += max(0, member.size)
            if number >= MAX_MEMBERS:
                raise _beyond(path, f"{MAX_MEMBERS} members", "more")
            if read > 8 * MAX_TOTAL_BYTES:
                raise _beyond(path, f"{8 * MAX_TOTAL_BYTES} bytes, unpacked", "more")
            name = _checked(member.name, path)
            if member.isfile() and name.endswith(KEPT) and (file := archive.extractfile(member)) is not None:
                yield name, _read(file, path, name)


def _read(file: IO[bytes], path: Path, name: str) -> bytes:
    """What a file really has, whatever the archive says of it."""
    content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise _beyond(path, f"{MAX_FILE_BYTES} bytes in {name}", "more")
    return content


def _checked(name: str, path: Path) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if "\0" in name or not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise ArtifactError("a member's path leads out of the archive", where=path.name, got=ascii(name)[:120])
    return "/".join(parts)


def _limited(members: Iterator[tuple[str, bytes]], path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    for name, content in members:
        total += len(content)
        if total > MAX_TOTAL_BYTES or len(files) >= MAX_MEMBERS:
            raise _beyond(path, f"{MAX_TOTAL_BYTES} bytes of Python in {MAX_MEMBERS} files", "more")
        if name in files:
            raise ArtifactError("two members have one path", where=path.name, got=ascii(name)[:120])
        files[name] = content
    return dict(sorted(files.items()))


def _without_top(files: dict[str, bytes]) -> dict[str, bytes]:
    tops = {name.partition("/")[0] for name in files}
    return {name.partition("/")[2]: content for name, content in files.items()} if len(tops) == 1 else files


def _beyond(path: Path, most: str, got: str) -> ArtifactError:
    return ArtifactError("is too large for a canary", where=path.name, expected=f"at most {most}", got=got)
