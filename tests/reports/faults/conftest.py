"""Every sample matrix in turn."""

from __future__ import annotations

import pytest

from harness.records.faults import KillMatrix
from tests.reports.faults.builders import MATRICES


@pytest.fixture(params=sorted(MATRICES))
def any_matrix(request: pytest.FixtureRequest) -> KillMatrix:
    """Good, bad, hostile, empty, …"""
    return MATRICES[request.param]
