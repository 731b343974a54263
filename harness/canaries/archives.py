"""Reads wheels, source archives and folders of strangers: with limits, and nothing is ever unpacked where it says.

Only Python files are kept, and templates that packages read when they are imported; the rest is counted and
left. A file that is too large by itself is left out, and that is remembered. Raises ArtifactError for whatever is
beyond another limit.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from harness.errors import ArtifactError

KEPT = (".py", ".jinja")
MAX_ARCHIVE_BYTES = 256 * 2**20
MAX_MEMBERS = 50_000
MAX_FILE_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 256 * 2**20
"""Of all files that are kept, unpacked."""
MAX_UNPACKED_BYTES = 2**31
"""Of a whole source archive."""
MAX_AROUND_BYTES = 2**20
"""Of what a source archive says before and after one member's content."""

_MALFORMED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error, EOFError, MemoryError, OSError, ValueError,
    RuntimeError,
)  # fmt: skip
"""What the libraries raise; NotImplementedError and RecursionError are RuntimeErrors."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LISTED = b"PK\x01\x02"
"""Each entry of a zip's directory begins so."""


class Read(NamedTuple):
    """What was read."""

    files: dict[str, bytes]
    """What is kept by path, sorted."""
    digest: str
    """sha256 of the archive, or of the files of a folder."""
    left_out: Mapping[str, str]
    """Why a file is not kept that would be, by its path."""


class _Member(NamedTuple):
    """A file that may be kept."""

    name: str
    size: int
    content: bytes
    """Empty if it is too large."""


def read_archive(path: Path) -> Read:
    """A wheel (.whl) or a source archive (.tar.gz, .zip), whose one folder is left off the paths."""
    if path.stat().st_size > MAX_ARCHIVE_BYTES:
        raise _beyond(path, f"{MAX_ARCHIVE_BYTES} bytes", f"{path.stat().st_size}")
    content = path.read_bytes()
    members = _zipped if path.suffix in (".whl", ".zip") else _tarred
    try:
        files, left_out = _limited(members(content, path), path)
    except _MALFORMED as error:
        raise ArtifactError(f"is no archive that can be read: {error}", where=path.name) from error
    tops = {name.partition("/")[0] for name in (*files, *left_out)}
    if path.suffix != ".whl" and len(tops) == 1:
        files = {name.partition("/")[2]: each for name, each in files.items()}
        left_out = {name.partition("/")[2]: why for name, why in left_out.items()}
    return Read(files, hashlib.sha256(content).hexdigest(), left_out)


def read_files(directory: Path, paths: Iterable[Path]) -> Read:
    """These files of a folder; links are not followed, and folders whose names begin with a dot are left."""

    def found() -> Iterator[_Member]:
        for path in sorted(paths):
            relative = path.relative_to(directory)
            if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in relative.parts):
                continue
            size = path.stat().st_size
            yield _Member(relative.as_posix(), size, path.read_bytes() if size <= MAX_FILE_BYTES else b"")

    files, left_out = _limited(found(), directory)
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return Read(files, digest.hexdigest(), left_out)


def _zipped(content: bytes, path: Path) -> Iterator[_Member]:
    # Counted before the directory is listed: a list of it takes much more. What it says of its length may be wrong.
    if content.count(_LISTED) > MAX_MEMBERS:
        raise _beyond(path, f"{MAX_MEMBERS} members", f"{content.count(_LISTED)}")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            name = _checked(member.filename, path)
            if member.is_dir() or not name.endswith(KEPT):
                continue
            if member.compress_type not in _METHODS:
                raise ArtifactError("a member is neither deflated nor stored", where=path.name, got=ascii(name)[:120])
            # No more is read of a member than it says that it has; of one that has more, the checksum is wrong.
            size = member.file_size
            yield _Member(name, size, archive.read(member) if size <= MAX_FILE_BYTES else b"")


def _tarred(content: bytes, path: Path) -> Iterator[_Member]:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as unzipped:
        metered = _Metered(unzipped, path)
        with tarfile.TarFile(fileobj=metered) as archive:  # type: ignore[arg-type]  # of a file it reads and seeks
            for number, member in enumerate(iter(archive.next, None)):
                if number >= MAX_MEMBERS:
                    raise _beyond(path, f"{MAX_MEMBERS} members", "more")
                name = _checked(member.name, path)
                if member.isfile() and name.endswith(KEPT):
                    is_read = member.size <= MAX_FILE_BYTES
                    metered.left = member.size
                    yield _Member(name, member.size, metered.read(member.size) if is_read else b"")
                # What would be kept of each, and of headers that are said to be for all that follow.
                archive.members.clear()  # type: ignore[attr-defined]
                archive.pax_headers.clear()  # type: ignore[attr-defined]
                metered.left = MAX_AROUND_BYTES


class _Metered:
    """A file that is read once, from its beginning to its end, and not all of it at once."""

    def __init__(self, file: gzip.GzipFile, path: Path) -> None:
        self._file = file
        self._path = path
        self.left = MAX_AROUND_BYTES
        """Bytes that may be read; what is passed over by `seek` is not, and its length has a limit too."""

    def read(self, size: int) -> bytes:
        """As of a file."""
        if size < 0:
            raise tarfile.ReadError("a member has less than no content")
        self.left -= size
        if self.left < 0:
            raise _beyond(self._path, f"{MAX_AROUND_BYTES} bytes around a member", "more")
        self._pass(self.tell() + size)
        return self._file.read(size)

    def tell(self) -> int:
        """As of a file."""
        return self._file.tell()

    def seek(self, position: int) -> None:
        """Onwards."""
        if position < self.tell():
            raise tarfile.ReadError("a member begins before another's end")
        self._pass(position)
        self._file.seek(position)

    def _pass(self, position: int) -> None:
        if position > MAX_UNPACKED_BYTES:
            raise _beyond(self._path, f"{MAX_UNPACKED_BYTES} bytes, unpacked", "more")


def _checked(name: str, path: Path) -> str:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if "\0" in name or not parts or parts[0] == "/" or ".." in parts or ":" in parts[0]:
        raise ArtifactError("a member's path leads out of the archive", where=path.name, got=ascii(name)[:120])
    return "/".join(parts)


def _limited(members: Iterable[_Member], path: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """What is kept, and why what is left out is not."""
    files: dict[str, bytes] = {}
    left_out: dict[str, str] = {}
    total = 0
    for member in members:
        name = member.name if member.name.isprintable() else ascii(member.name)[1:-1]
        total += len(member.content)
        if total > MAX_TOTAL_BYTES or len(files) + len(left_out) >= MAX_MEMBERS:
            raise _beyond(path, f"{MAX_TOTAL_BYTES} bytes of Python in {MAX_MEMBERS} files", "more")
        if name in files or name in left_out:
            raise ArtifactError("two members have one path", where=path.name, got=ascii(name)[:120])
        if name != member.name:
            left_out[name] = "has a name that cannot be printed"
        elif member.size > MAX_FILE_BYTES:
            left_out[name] = f"has {member.size} bytes, and at most {MAX_FILE_BYTES} are read"
        else:
            files[name] = member.content
    return dict(sorted(files.items())), left_out


def _beyond(path: Path, most: str, got: str) -> ArtifactError:
    return ArtifactError("is too large for a canary", where=path.name, expected=f"at most {most}", got=got)
