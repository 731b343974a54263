"""The process that verifies, for all tests of a file: loading everything takes it some seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verify.fuzz.watching import Watched


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Runs cases, and lives through what they do."""
    with Watched(tmp_path_factory.mktemp("fuzz")) as watched:
        yield watched
