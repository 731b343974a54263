"""Whether a file can be written, asked before the work whose result it is to hold."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harness.errors import StorageError, UsageError


def check_place(option: str, file: Path) -> None:
    """Make the folder of `file`, and raise UsageError or StorageError, naming `option`, if it cannot be written."""
    where = f"{option} {file}"
    try:
        if file.is_dir():
            raise UsageError("is a directory", where=where, next_step="Name a file in it.")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise StorageError(
            f"cannot be written: {error.strerror or error}", where=where, next_step="Choose another folder."
        ) from error
