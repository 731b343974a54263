"""Writing a view to disk: whole or not at all. Knows nothing of what it writes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from harness.errors import StorageError


def write_text(path: Path, text: str) -> Path:
    """Write `text` to `path` by one rename, so that a reader never meets half a file. Raises StorageError.

    A lone surrogate (half of a character, as undecodable file names yield) is written as a backslash escape, which in
    JSON means that same surrogate.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp gives 0600, and a report is for everyone who may enter its folder.
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"cannot be written: {error.strerror or error}",
            where=str(path),
            next_step="Free some space or choose another folder.",
        ) from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):  # After the rename it is gone, which is what we want.
                os.unlink(temporary)
    return path
