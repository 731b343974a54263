"""Archives of arrays (npz) without pickles: written, and read, whole or not at all. Knows no contents."""

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


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write them to `path`. Raises ArtifactError if one holds objects, which only a pickle can."""
    # savez has a word for it since numpy 2.2 alone, and before takes that for the name of one more array.
    if pickled := [name for name, values in arrays.items() if values.dtype.hasobject]:
        raise ArtifactError("arrays of objects are not saved", where=str(path), got=", ".join(pickled))
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its stubs fear an array that is called allow_pickle


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
