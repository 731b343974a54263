"""Archives of arrays (npz) without pickles: read whole, or refused with one clear error. Knows no contents."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from harness.errors import ArtifactError

REFUSALS = (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error)
"""What numpy and zipfile raise about a file that is not what it should be: cut short, damaged, or something else."""


@contextmanager
def reading(path: Path, what: str) -> Iterator[Mapping[str, np.ndarray]]:
    """The arrays at `path`, by name. Raises ArtifactError (`what` they are, where) if they cannot be read."""
    try:
        # Opened here: np.load leaves a file open that turns out to be no archive.
        with path.open("rb") as file:
            arrays = np.load(file, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("not an archive")
            with arrays:
                yield arrays
    except REFUSALS as error:
        raise ArtifactError(f"{what} cannot be read: {error}", where=str(path)) from error
