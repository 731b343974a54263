"""One at a time, for what two runs on one output folder may want to make at once. Knows nothing of what they make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from harness import artifacts


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Run the block while no other process or thread runs one for `path`, whose folder is made if it is not there.

    The system ends the hold of a process that was killed. Raises StorageError if the folder cannot be written.
    """
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    with artifacts.storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
