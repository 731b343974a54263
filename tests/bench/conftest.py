"""What the tests of the measured processes share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.sides import Side, side_environment

ROOT = Path(__file__).parents[2]
FAKE = "tests.bench.fake_side"


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    """A measured process that computes nothing."""
    variables = side_environment(scratch=tmp_path / "scratch", code=ROOT, num_threads=1)
    with Side([sys.executable, "-m", FAKE], variables=variables, folder=tmp_path, log=tmp_path / "log") as started:
        yield started
