"""The floor that verifying is held against: it reads all there is, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import reading_way
from bench.reading_way import read


@pytest.mark.parametrize("size_bytes", [0, 8, 13, 1024 + 13, 4096, 4096 + 8, 3 * 4096 + 5])
@pytest.mark.parametrize("num_threads", [1, 2])
def test_every_byte_counts_once(
    size_bytes: int, num_threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every file, whatever its size, and of nothing but safetensors files."""
    monkeypatch.setattr(reading_way, "BUFFER_BYTES", 1024)
    monkeypatch.setattr(reading_way, "PIECE_BYTES", 4096)
    expected_bytes = expected_words = 0
    for number, directory in enumerate((tmp_path / "one", tmp_path / "other")):
        directory.mkdir()
        (directory / "config.json").write_bytes(b"not read")
        for name in ("a", "b"):
            content = np.random.default_rng([number, ord(name)]).bytes(size_bytes)
            (directory / f"{name}.safetensors").write_bytes(content)
            padded = content + bytes(-size_bytes % 8)
            expected_bytes += size_bytes
            expected_words += sum(int.from_bytes(padded[at : at + 8], "little") for at in range(0, len(padded), 8))
    assert (expected_bytes, expected_words % 2**64) == read([tmp_path / "one", tmp_path / "other"], num_threads)
