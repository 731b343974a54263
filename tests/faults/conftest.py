"""What is really under `cases/`."""

from __future__ import annotations

import pytest

from harness.runs.request import Catalogue, load_catalogue


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    """The repository's cases."""
    return load_catalogue()
