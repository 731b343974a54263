"""The atomic artifact: a directory that appears whole, by one rename, or not at all; its answer, and its digest.

Standard library only, because cells write artifacts too. Owns how directories come to be and how their contents are
hashed; must not know what is in them, nor who runs whom.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness import codec
from harness.errors import ArtifactError, StorageError
from harness.records.jobs import Answer, FileEntry

ANSWER = "answer.json"

_PARTIAL = re.compile(r"\.partial-([0-9a-f]{8})-([0-9]+)-[0-9a-f]+$")
_STALE_AFTER_S = 24 * 3600.0
"""A partial of this age is nobody's work in progress, whatever its process id says: ids come again."""
_FULL_BELOW_BYTES = 1 << 20
_mine: set[str] = set()
"""Every partial's path that this process has made up; its own sweeps leave them alone. A name never comes again."""


@contextmanager
def creating(directory: Path) -> Iterator[Path]:
    """A partial directory beside `directory`, to be filled; renamed to `directory` if the block ends well.

    If `directory` is already there (another process was first), ours is dropped: what it holds is as good. If the
    block raises, the partial is removed. A disk that is full or may not be written is a StorageError.
    """
    partial = partial_beside(directory)
    try:
        with storing(directory):
            partial.mkdir(parents=True)
        yield partial
        with storing(directory):
            _publish(partial, directory)
    except BaseException as error:
        trouble = storage_trouble(error, partial)  # asked first: removing the partial may make room again
        shutil.rmtree(partial, ignore_errors=True)
        if trouble is not None and trouble is not error:
            raise trouble from error
        raise


def finish(partial: Path, answer: Answer) -> None:
    """Write the answer, with every file that is in `partial` now: the last file of an artifact.

    A crash that is recorded while the disk is full is the disk's, not that of the code under test: StorageError.
    """
    if answer.crash is not None and _is_full(partial):
        raise _no_space(partial)
    with storing(partial):
        text = codec.dumps(dataclasses.replace(answer, files=file_entries(partial)))
        (partial / ANSWER).write_text(text, encoding="utf-8")


def read_answer(directory: Path) -> Answer:
    """The answer in `directory`. Raises ArtifactError if there is none, or none that can be read."""
    return codec.read_json(Answer, directory / ANSWER)


def file_entries(directory: Path) -> tuple[FileEntry, ...]:
    """Every file below `directory` but its answer, as it is now, sorted by path. Links are refused."""
    return tuple(
        FileEntry(path=name, size_bytes=path.stat().st_size, sha256=_sha256(path))
        for name, path in sorted(_regular_files(directory))
        if name != ANSWER
    )


def content_digest(directory: Path, only: tuple[str, ...] = ()) -> str:
    """One digest of what `directory` holds now but for its answer; of the files and folders `only`, if given."""
    entries = file_entries(directory)
    if only:
        entries = tuple(e for e in entries if any(e.path == name or e.path.startswith(f"{name}/") for name in only))
    return digest_of(entries)


def digest_of(entries: Sequence[FileEntry]) -> str:
    """One digest of these files: their paths and their contents."""
    digest = hashlib.sha256()
    for entry in sorted(entries, key=lambda entry: entry.path):
        digest.update(f"{entry.path}\0{entry.sha256}\n".encode())
    return digest.hexdigest()


def changed_files(directory: Path, answer: Answer) -> tuple[str, ...]:
    """Paths of files that are not as the answer says: other contents, missing, or added since."""
    return differing(file_entries(directory), answer)


def differing(entries: Sequence[FileEntry], answer: Answer) -> tuple[str, ...]:
    """As `changed_files`, for entries that were hashed before."""
    now = {entry.path: entry.sha256 for entry in entries}
    then = {entry.path: entry.sha256 for entry in answer.files}
    return tuple(sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path)))


def discard(directory: Path) -> None:
    """Remove an artifact, so that no moment shows a half of it: it leaves its name by one rename first."""
    partial = partial_beside(directory)
    with storing(directory):
        try:
            os.rename(directory, partial)
        except FileNotFoundError:
            return
    shutil.rmtree(partial, ignore_errors=True)


def partial_beside(directory: Path) -> Path:
    """A name beside `directory` that says whose work in progress it is; `sweep_partials` knows such names."""
    partial = directory.with_name(f"{directory.name}.partial-{_host()}-{os.getpid()}-{secrets.token_hex(4)}")
    _mine.add(str(partial))  # before it exists: another thread of this process may sweep at any moment
    return partial


def sweep_partials(folder: Path) -> int:
    """Remove the partials in `folder` whose process is no more; how many. Those of living processes stay."""
    swept = 0
    for entry in list(os.scandir(folder)) if folder.is_dir() else []:
        match = _PARTIAL.search(entry.name)
        if match and entry.path not in _mine and _is_stale(Path(entry.path), host=match[1], pid=int(match[2])):
            shutil.rmtree(entry.path, ignore_errors=True)
            swept += 1
    return swept


@contextmanager
def storing(where: Path) -> Iterator[None]:
    """An OSError in the block is a StorageError about `where`: for blocks that do nothing but read and write there."""
    try:
        yield
    except OSError as error:
        raise _storage_error(error, where) from error


def storage_trouble(error: BaseException, partial: Path) -> StorageError | None:
    """`error` as the StorageError that it really is: a disk that is full, or a partial that may not be written.

    Libraries that write files from Rust or C++ raise exceptions of their own, so a full disk is looked for, too.
    """
    if isinstance(error, StorageError):
        return error
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
            return _storage_error(error, partial)
        # Permission errors about other places (a cache, a lock) are the business of whoever raised them.
        named = str(error.filename or "")
        return _storage_error(error, partial) if named.startswith(str(partial)) and _is_denied(error) else None
    return _no_space(partial) if isinstance(error, Exception) and _is_full(partial) else None


def _publish(partial: Path, directory: Path) -> None:
    for folder, _, names in os.walk(partial):
        for name in names:
            _sync(os.path.join(folder, name))
        _sync(folder)
    try:
        os.rename(partial, directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(partial)
    _sync(str(directory.parent))


def _sync(path: str) -> None:
    # Without it, a power cut after the rename may leave a whole directory of empty files.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _regular_files(directory: Path) -> Iterator[tuple[str, Path]]:
    for folder, subfolders, names in os.walk(directory, onerror=_refuse_unreadable):
        for name in [*subfolders, *names]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                yield path.relative_to(directory).as_posix(), path
            elif not stat.S_ISDIR(mode):
                raise ArtifactError(
                    "an artifact holds files and folders only", where=str(path), got=stat.filemode(mode)
                )


def _refuse_unreadable(error: OSError) -> None:
    raise ArtifactError(f"cannot be read: {error.strerror}", where=str(error.filename)) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_stale(path: Path, *, host: str, pid: int) -> bool:
    if host == _host() and not _is_alive(pid):
        return True
    try:
        return time.time() - path.lstat().st_mtime > _STALE_AFTER_S
    except FileNotFoundError:
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()  # what carries our own id and is not in `_mine` is from a namesake before us


def _host() -> str:
    # Process ids mean something within one process namespace of one machine; folders may be shared by several.
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{os.uname().nodename} {namespace}".encode()).hexdigest()[:8]


def _is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path).free < _FULL_BELOW_BYTES
    except OSError:
        return False


def _is_denied(error: OSError) -> bool:
    return error.errno in (errno.EACCES, errno.EPERM)


def _no_space(where: Path) -> StorageError:
    return _storage_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), where)


def _storage_error(error: OSError, where: Path) -> StorageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        next_step = "Free some space there, then run again: what was finished is kept."
    elif error.errno == errno.EROFS or _is_denied(error):
        next_step = "Make that folder writable, or work in another one."
    else:
        next_step = "Look at that folder and its disk, then run again: what was finished is kept."
    reason = os.strerror(error.errno) if error.errno else str(error)
    return StorageError(f"cannot be written: {reason}", where=str(error.filename or where), next_step=next_step)
