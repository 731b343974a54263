"""The process in which guards are executed: one for a module of tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from harness.canaries.checking import ENTRY
from harness.sandbox.client import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Of this Python."""
    with Sandbox(sys.executable, ENTRY) as opened:
        yield opened
