"""What the weights say, damage by damage: each bends the numbers that it should, and no other."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.weights import NAMES, measure
from harness.records.results import Measured, Measurement, Missing
from tests.observations import (
    DENSE,
    EXPERT_3,
    MOE,
    NORM,
    Damage,
    Weights,
    make_case,
    make_read,
    make_weights,
    owed_names,
)

NUM_OWED = len(owed_names(MOE, make_case()))
EXPERT_4 = EXPERT_3.replace(".3.", ".4.")


def measured(damage: Damage | None = None, dtype: str = "float32") -> dict[str, Measurement]:
    """The weights' measurements of a route with this damage, by name."""
    case = make_case(dtype=dtype)
    found = measure(make_read(case=case, weights=make_weights(case=case, damage=damage)))
    return {measurement.metric: measurement for measurement in found}


def values(found: dict[str, Measurement]) -> dict[str, float]:
    """Every value, all of which must be there."""
    assert set(NAMES) == set(found)
    return {name: measurement.value for name, measurement in found.items() if isinstance(measurement, Measured)}


def missing(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection is base's."""
    got[EXPERT_3] = base[EXPERT_3]


def twice(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection has its delta twice."""
    got[EXPERT_3] = base[EXPERT_3] + 2 * deltas[EXPERT_3]


def subtracted(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection has its delta with the wrong sign."""
    got[EXPERT_3] = base[EXPERT_3] - deltas[EXPERT_3]


def scaled(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection has 1.05 of its delta."""
    got[EXPERT_3] = base[EXPERT_3] + np.float32(1.05) * deltas[EXPERT_3]


def permuted(got: Weights, base: Weights, deltas: Weights) -> None:
    """Two experts have each other's delta."""
    got[EXPERT_3] = base[EXPERT_3] + deltas[EXPERT_4]
    got[EXPERT_4] = base[EXPERT_4] + deltas[EXPERT_3]


def absent(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection is not there."""
    del got[EXPERT_3]


def misshapen(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's projection is transposed."""
    got[EXPERT_3] = got[EXPERT_3].T


def not_finite(got: Weights, base: Weights, deltas: Weights) -> None:
    """One element of one expert's projection is NaN."""
    got[EXPERT_3] = got[EXPERT_3].copy()
    got[EXPERT_3][0, 0] = np.nan


def unexpected(got: Weights, base: Weights, deltas: Weights) -> None:
    """Two tensors more."""
    got["odd"] = got["model.layers.0.ghost"] = np.zeros((3, 2), np.float32)


def passthrough(got: Weights, base: Weights, deltas: Weights) -> None:
    """The last norm moved by one bit."""
    got[NORM] = np.nextafter(base[NORM], np.float32(9))


def test_a_perfect_merge() -> None:
    """No residual, all recovered, nothing else changed, everything usable; and how many were compared."""
    found = measured()
    assert (0.0, 0.0, 0.0, 0.0) == tuple(values(found)[name] for name in (*NAMES[:2], *NAMES[3:]))
    assert 1.0 == pytest.approx(values(found)["recovered_min"], abs=1e-6)
    table = make_weights()
    total = len(table.name)
    assert [NUM_OWED, NUM_OWED, NUM_OWED, total - NUM_OWED, total] == [found[n].num_compared for n in NAMES]  # type: ignore[union-attr]


def test_each_number_has_its_unit() -> None:
    """Ratios of norms, a fraction, and counts of tensors."""
    units = ("ratio", "ratio", "fraction", "tensors", "tensors")
    assert dict(zip(NAMES, units, strict=True)) == {
        name: found.unit for name, found in measured().items() if isinstance(found, Measured)
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("damage", "residual", "recovered", "changed", "unusable"),
    [
        pytest.param(missing, 1.0, 0.0, 0, 0, id="missing"),
        pytest.param(twice, 1.0, 1.0, 0, 0, id="applied twice"),
        pytest.param(subtracted, 2.0, -1.0, 0, 0, id="sign"),
        pytest.param(scaled, 0.05, 1.0, 0, 0, id="scale"),
        pytest.param(absent, 1.0, 0.0, 0, 1, id="absent"),
        pytest.param(misshapen, 1.0, 0.0, 0, 1, id="shape"),
        pytest.param(not_finite, 1.0, 0.0, 0, 1, id="not finite"),
        pytest.param(unexpected, 0.0, 1.0, 0, 2, id="unexpected"),
        pytest.param(passthrough, 0.0, 1.0, 1, 0, id="passthrough"),
    ],
)
def test_each_damage_bends_its_own_numbers(
    damage: Damage, residual: float, recovered: float, changed: int, unusable: int, dtype: str
) -> None:
    """The worst residual and the least recovered fraction are the damaged tensor's; the counts are exact."""
    found = values(measured(damage, dtype))
    near = 1e-6 if dtype == "float32" else 2e-2
    assert residual == pytest.approx(found["weight_residual_max"], abs=near)
    assert recovered == pytest.approx(found["recovered_min"], abs=near)
    assert (changed, unusable) == (found["passthrough_changed"], found["weights_unusable"])


def test_permuted_experts_have_residuals_that_no_scale_explains() -> None:
    """Two experts with each other's delta: the residual is the difference of the deltas over one delta's norm."""
    table = make_weights(damage=permuted)
    rows = [table.name.tolist().index(name) for name in (EXPERT_3, EXPERT_4)]
    assert table.residual_norm[rows].min() > 0
    assert table.residual_norm[rows][0] == pytest.approx(table.residual_norm[rows][1], rel=1e-6)
    assert values(measured(permuted))["weight_residual_max"] > 0.5


def test_the_total_weighs_every_adapted_tensor() -> None:
    """One missing delta of many is the root of its share of the squares."""
    table = make_weights(damage=missing)
    row = table.name.tolist().index(EXPERT_3)
    expected = table.delta_norm[row] / math.sqrt((table.delta_norm**2).sum())
    assert expected == pytest.approx(values(measured(missing))["weight_residual_total"], rel=1e-6)


def lost(got: Weights, base: Weights, deltas: Weights) -> None:
    """One expert's delta is too small for bfloat16."""
    deltas[EXPERT_3] = np.float32(1e-6) * deltas[EXPERT_3]
    got[EXPERT_3] = base[EXPERT_3]


def test_a_delta_lost_to_rounding_is_left_out_of_the_worst() -> None:
    """In bfloat16 it is no failure, and one tensor less is compared; in float32 the same weights lack their delta."""
    found = measured(lost, "bfloat16")
    assert 0.0 == values(found)["weight_residual_max"]
    assert NUM_OWED - 1 == found["weight_residual_max"].num_compared  # type: ignore[union-attr]
    assert NUM_OWED == found["weight_residual_total"].num_compared  # type: ignore[union-attr]
    assert values(measured(lost))["weight_residual_max"] > 0.5


def all_lost(got: Weights, base: Weights, deltas: Weights) -> None:
    """Every delta is zero."""
    for name in deltas:
        deltas[name] = 0 * deltas[name]
        got[name] = base[name]


def test_without_a_delta_there_is_nothing_to_measure() -> None:
    """No residual is made of no delta: Missing, and the counts are still there."""
    found = measured(all_lost)
    assert set(NAMES[:3]) == {name for name, measurement in found.items() if isinstance(measurement, Missing)}
    assert 0.0 == found["passthrough_changed"].value  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_delta_that_is_not_finite_is_missing(number: float) -> None:
    """Training that diverged leaves an oracle without numbers: that is said, and never a NaN."""

    def diverged(got: Weights, base: Weights, deltas: Weights) -> None:
        deltas[EXPERT_3] = np.full((3, 2), number, np.float32)

    found = measured(diverged)
    assert set(NAMES[:3]) == {name for name, measurement in found.items() if isinstance(measurement, Missing)}
    assert all(math.isfinite(m.value) for m in found.values() if isinstance(m, Measured))


def test_weights_that_were_not_compared_are_missing() -> None:
    """No table, five reasons."""
    assert {Missing} == {type(measurement) for measurement in measure(make_read(weights=None))}
    assert 5 == len(measure(make_read(weights=None)))


def test_a_dense_family_is_measured_alike() -> None:
    """Nothing here knows of experts."""
    found = {m.metric: m for m in measure(make_read(DENSE))}
    assert 0.0 == found["weight_residual_max"].value  # type: ignore[union-attr]
    assert len(owed_names(DENSE, make_case(DENSE))) == found["weight_residual_max"].num_compared  # type: ignore[union-attr]


def test_tied_cases_have_a_head_all_the_same() -> None:
    """A tied head is a module: the table has a row for it, so that a delta that reaches it is seen."""
    case = replace(make_case(DENSE), config={"tie_word_embeddings": True})
    assert "lm_head.weight" in make_weights(DENSE, case).name.tolist()
