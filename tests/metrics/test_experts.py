"""Expert-merge counts from the weights, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.metrics.experts import count, measure
from harness.records.cases import AdapterSpec
from harness.records.results import Measured, Missing
from tests.observations import DENSE, EXPERT_3, Damage, Weights, make_case, make_read, make_weights, make_write

NUM_PROJECTIONS = 2 * 8 * 3
"""Layers × experts × (gate, up, down)."""
CLEAN = {"attempted": 48, "applied": 48, "fallback": 0, "lost_to_rounding": 0, "zero_delta": 0}


def without(got: Weights, base: Weights, deltas: Weights) -> None:
    """Not applied: the weights are base's."""
    got[EXPERT_3] = base[EXPERT_3]


def zero(got: Weights, base: Weights, deltas: Weights) -> None:
    """Adapted, and never trained."""
    deltas[EXPERT_3] = 0 * deltas[EXPERT_3]
    got[EXPERT_3] = base[EXPERT_3]


def mostly(got: Weights, base: Weights, deltas: Weights) -> None:
    """Applied, if with the wrong scale."""
    got[EXPERT_3] = base[EXPERT_3] + np.float32(0.6) * deltas[EXPERT_3]


def barely(got: Weights, base: Weights, deltas: Weights) -> None:
    """Too little to count as applied."""
    got[EXPERT_3] = base[EXPERT_3] + np.float32(0.4) * deltas[EXPERT_3]


def gone(got: Weights, base: Weights, deltas: Weights) -> None:
    """Not there at all."""
    del got[EXPERT_3]


def broken(got: Weights, base: Weights, deltas: Weights) -> None:
    """There, and no numbers."""
    got[EXPERT_3] = got[EXPERT_3] * np.nan


def attention(got: Weights, base: Weights, deltas: Weights) -> None:
    """Not an expert's."""
    name = "model.layers.0.self_attn.q_proj.weight"
    got[name] = base[name]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(None, CLEAN, id="clean"),
        pytest.param(without, {**CLEAN, "applied": 47, "fallback": 1}, id="not applied"),
        pytest.param(zero, {**CLEAN, "attempted": 47, "applied": 47, "zero_delta": 1}, id="zero delta"),
        pytest.param(mostly, CLEAN, id="more than half"),
        pytest.param(barely, {**CLEAN, "applied": 47, "fallback": 1}, id="less than half"),
        pytest.param(gone, {**CLEAN, "applied": 47, "fallback": 1}, id="absent"),
        pytest.param(broken, {**CLEAN, "applied": 47, "fallback": 1}, id="not finite"),
        pytest.param(attention, CLEAN, id="another tensor"),
    ],
)
def test_projections_are_counted_from_the_weights(damage: Damage | None, expected: dict[str, int]) -> None:
    """Attempted is a delta that is not zero; applied is one that the weights show; fallback is the rest."""
    assert NUM_PROJECTIONS == CLEAN["attempted"]
    assert expected == count(make_weights(damage=damage))


def test_a_delta_lost_to_rounding_is_neither_applied_nor_fallback() -> None:
    """Counted apart, and the three together are what was attempted."""

    def lost(got: Weights, base: Weights, deltas: Weights) -> None:
        deltas[EXPERT_3] = np.float32(1e-6) * deltas[EXPERT_3]
        got[EXPERT_3] = base[EXPERT_3]

    counts = count(make_weights(case=make_case(dtype="bfloat16"), damage=lost))
    assert {**CLEAN, "applied": 47, "lost_to_rounding": 1} == counts
    assert counts["attempted"] == counts["applied"] + counts["fallback"] + counts["lost_to_rounding"]


def test_the_measurement_is_the_fallback_of_those_attempted() -> None:
    """One of 48 that is not there, none of 48 in a clean one, of a write as of a route."""
    clean = Measured(metric="experts_fallback", value=0.0, unit="projections", num_compared=48)
    assert (clean,) == measure(make_read()) == measure(make_write())
    assert (replace(clean, value=1.0),) == measure(make_read(weights=make_weights(damage=without)))


def test_what_has_no_experts_measures_nothing() -> None:
    """A dense model, and a case that adapts attention alone."""
    attention_only = make_case(adapter=AdapterSpec(adapt=("attention",)))
    assert () == measure(make_read(DENSE)) == measure(make_read(case=attention_only))
    assert () == measure(make_read(DENSE, weights=None))


def test_experts_that_were_not_compared_are_missing() -> None:
    """A MoE route without a weight table says so."""
    (found,) = measure(make_read(weights=None))
    assert isinstance(found, Missing)


def test_experts_that_were_adapted_and_never_trained_tell_nothing() -> None:
    """The stack says that it adapted experts, and not one delta is there to look for: missing, and not a pass."""

    def nothing_trained(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in [name for name in deltas if ".experts." in name]:
            deltas[name] = 0 * deltas[name]
            got[name] = base[name]

    (found,) = measure(make_read(weights=make_weights(damage=nothing_trained)))
    assert isinstance(found, Missing)
