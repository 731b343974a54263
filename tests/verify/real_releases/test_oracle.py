"""Tests of what each release makes of each model, by arithmetic that the verifier knows nothing of."""

from __future__ import annotations

import pytest

from tests.verify.real_releases.conftest import Merges
from tests.verify.real_releases.expected import CASES, LAYOUTS, Case, kinds_by_name
from tests.verify.real_releases.models import MODELS
from tests.verify.real_releases.oracle import faults

pytestmark = pytest.mark.registry


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_release_makes_what_is_said_of_it(case: Case, merges: Merges) -> None:
    """Each weight is changed by the right delta, or by the reading of the factors that the table names; no other is."""
    folder = merges[case.row] / case.model
    assert kinds_by_name(case) == faults(folder, case.merger, MODELS[case.model], LAYOUTS[case.row])
