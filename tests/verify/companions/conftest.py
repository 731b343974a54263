"""Two equal checkpoints on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verify.companions.builders import write


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A whole checkpoint."""
    return write(tmp_path / "base")


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """Another that is equal to it."""
    return write(tmp_path / "merged")
