"""`python -m bench.reading_way NUM_THREADS DIR...`: the floor: read everything once, and use every word of it once.

Nothing that looks at two checkpoints can be faster on the same machine. Prints how many bytes there were, and the sum
of all 64-bit words.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

BUFFER_BYTES = 2 << 20
"""Stays in a core's cache until it has been added up."""
PIECE_BYTES = 64 << 20
"""What a thread takes at a time."""
WORD_BYTES = 8


class Piece(NamedTuple):
    """A part of a file."""

    path: Path
    start: int
    stop: int


class Total(NamedTuple):
    """What has been read, and came out."""

    num_bytes: int
    words: int
    """Their sum, without what does not fit into one. The last word of a file has zeros behind its end."""


def read(directories: list[Path], num_threads: int) -> Total:
    """Everything in the safetensors files of `directories`."""
    pieces = [piece for directory in directories for piece in _pieces(directory)]
    with ThreadPoolExecutor(max_workers=num_threads) as pool:
        totals = list(pool.map(_read, pieces))
    return Total(sum(each.num_bytes for each in totals), sum(each.words for each in totals) % 2**64)


def _pieces(directory: Path) -> Iterator[Piece]:
    for path in sorted(directory.glob("*.safetensors")):
        size_bytes = path.stat().st_size
        for start in range(0, size_bytes, PIECE_BYTES):
            yield Piece(path, start, min(start + PIECE_BYTES, size_bytes))


def _read(piece: Piece) -> Total:
    view = memoryview(bytearray(BUFFER_BYTES))
    buffer = np.frombuffer(view, np.uint64)
    words = 0
    file = os.open(piece.path, os.O_RDONLY)
    try:
        for offset in range(piece.start, piece.stop, BUFFER_BYTES):
            num_bytes = min(BUFFER_BYTES, piece.stop - offset)
            got = os.preadv(file, [view[:num_bytes]], offset)
            assert got == num_bytes
            num_missing = -num_bytes % WORD_BYTES
            view[num_bytes : num_bytes + num_missing] = bytes(num_missing)
            words += int(buffer[: (num_bytes + num_missing) // WORD_BYTES].sum())
    finally:
        os.close(file)
    return Total(piece.stop - piece.start, words)


if __name__ == "__main__":
    found = read([Path(directory) for directory in sys.argv[2:]], int(sys.argv[1]))
    sys.stdout.write(json.dumps(found._asdict()) + "\n")
