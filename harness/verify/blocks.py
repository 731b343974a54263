"""Reading the values of a place piece by piece, as they are stored, into buffers that are used again.

Owns the way from a place to bytes of a file: which rows of which expert, in which orientation. With `pread`, because
mapped pages would count as memory of the process. Knows nothing of what the values should be.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from types import TracebackType

import numpy as np

from harness.checkpoints.safetensors_file import SIZES_BYTES, TensorEntry
from harness.errors import ArtifactError
from harness.verify.companions.folder import reason
from harness.verify.places import Place

BLOCK_BYTES = 4 * 1024 * 1024
"""Of one stored tensor at a time: larger gains nothing, and every thread holds some of them."""
BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Files:
    """Open files, by path, for all threads; closed together."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        self._lock = threading.Lock()
        self.read_bytes = 0

    def __enter__(self) -> Files:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def read(self, path: Path, start: int, into: np.ndarray) -> None:
        """Fill the contiguous `into` from byte `start` on. Raises ArtifactError: the file ends, or cannot be read."""
        view = into.reshape(-1).view(np.uint8).data
        filled = 0
        try:
            descriptor = self._descriptors.get(path)
            if descriptor is None:
                descriptor = self._open(path)
            while filled < len(view):
                num_bytes = os.preadv(descriptor, [view[filled:]], start + filled)
                if num_bytes == 0:
                    raise ArtifactError("file ends inside a tensor", where=str(path))
                filled += num_bytes
                self.read_bytes += num_bytes  # of several threads: a count for people
        except OSError as error:
            raise ArtifactError(f"cannot be read: {reason(error)}", where=str(path)) from error

    def _open(self, path: Path) -> int:
        with self._lock:
            if path not in self._descriptors:
                self._descriptors[path] = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
            return self._descriptors[path]


class Buffers:
    """Memory of one thread by what it is for, grown where it must."""

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def array(self, use: str, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """An array of this shape whose contents are of no use to anybody else."""
        size_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        held = self._arrays.get(use)
        if held is None or held.nbytes < size_bytes:
            held = self._arrays[use] = np.empty(max(size_bytes, 1), np.uint8)
        return held[:size_bytes].view(dtype).reshape(shape)


def read_flat(files: Files, entry: TensorEntry, start: int, stop: int, buffers: Buffers, use: str) -> np.ndarray:
    """Elements `start` to `stop` of a tensor, in the order of the file, as bits."""
    size_bytes = SIZES_BYTES[entry.dtype]
    values = buffers.array(use, (stop - start,), BITS[size_bytes])
    files.read(entry.path, entry.start + start * size_bytes, values)
    return values


def read_rows(
    files: Files, place: Place, flipped: bool, start: int, stop: int, buffers: Buffers, use: str
) -> np.ndarray:
    """Rows `start` to `stop` of a matrix as bits: of the site's (out, in), or of its transpose if `flipped`."""
    entry = place.entry
    stored_rows, columns = entry.shape[-2:]
    first = 0 if place.expert is None else place.expert * stored_rows
    step = place.rows.step or 1
    if flipped != place.transposed:  # the rows wanted are columns as they are stored
        stored = _stored(files, entry, first, stored_rows, columns, buffers, use)
        site = stored[:, place.rows] if place.transposed else stored[place.rows].T
        # The site's rows are columns of `stored` where it is transposed; else the transpose's rows are.
        turned = site.T if place.transposed else site
        return np.ascontiguousarray(turned[start:stop])
    if place.transposed:  # rows of the transpose are rows as they are stored, of which a part's columns are taken
        stored = _stored(files, entry, first + start, stop - start, columns, buffers, use)
        return np.ascontiguousarray(stored[:, place.rows])
    begin = (place.rows.start or 0) + start * step
    stored = _stored(files, entry, first + begin, (stop - start - 1) * step + 1, columns, buffers, use)
    return stored if step == 1 else np.ascontiguousarray(stored[::step])


def _stored(
    files: Files, entry: TensorEntry, first: int, num_rows: int, columns: int, buffers: Buffers, use: str
) -> np.ndarray:
    flat = read_flat(files, entry, first * columns, (first + num_rows) * columns, buffers, use)
    return flat.reshape(num_rows, columns)
