"""Every planted damage gets the verdict and the kind that its row says, at exactly the tensors where it was planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.verify import verify
from harness.verify.report import Verdict, VerifyReport
from tests.verify.planted.catalogue import GROUPS, Damage
from tests.verify.planted.conftest import Place
from tests.verify.planted.merging import Dtype
from tests.verify.planted.planting import Named, Planting, begin, finish

ROWS = [
    pytest.param(damage, dtype, f"{damage.name} {draw}", id=f"{group}-{damage.name}-{dtype}-{draw}")
    for group, damages in GROUPS.items()
    for damage in damages
    for dtype in damage.dtypes
    for draw in range(damage.num_draws)
]


@pytest.mark.parametrize(("damage", "dtype", "seed"), ROWS)
def test_damage_is_named(damage: Damage, dtype: Dtype, seed: str, place: Place, merged: Path) -> None:
    """Verdict, exit code, kinds, and the tensors, layers and experts of all that is found; and no more than that."""
    planting = begin(damage.setup, dtype, seed)
    finish(planting, merged, damage.plant)
    report = verify(*place(planting), merged, num_threads=1)
    errors = [finding for finding in report.findings if finding.severity == "error"]
    assert (damage.expected, set(damage.kinds.split())) == (report.verdict, {finding.kind for finding in errors})
    assert (3 if damage.expected is Verdict.INCONCLUSIVE else 1) == report.exit_code
    assert planting.named() == {Named(each.tensor, each.layer, each.expert) for each in errors if each.tensor}
    if damage.plant.stage in ("deltas", "values"):
        check_counts(planting, report)


def check_counts(planting: Planting, report: VerifyReport) -> None:
    """What is counted is what was planted, and nothing that is adapted escapes."""
    adapted = planting.adapted
    wrong = planting.culprits & adapted
    experts = wrong & set(planting.experts)
    tensors, passed = report.tensors, report.passthrough
    assert (len(planting.experts), len(experts)) == (report.experts.attempted, report.experts.fallback)
    assert report.experts.attempted == report.experts.applied + report.experts.fallback
    assert (len(adapted), len(wrong)) == (tensors.targeted, tensors.unchanged + tensors.wrong)
    assert len(adapted) == tensors.matched + tensors.unchanged + tensors.wrong
    assert planting.num_untouched == passed.compared
    assert len(planting.culprits - wrong) == passed.compared - passed.identical
