"""Every sample report of canaries in turn."""

from __future__ import annotations

import pytest

from harness.records.canaries import CanaryReport
from tests.reports.canaries.builders import REPORTS


@pytest.fixture(params=sorted(REPORTS))
def any_canaries(request: pytest.FixtureRequest) -> CanaryReport:
    """Good, every state, a timeline, hostile, empty, …"""
    return REPORTS[request.param]
