"""KL against values worked out by hand, and what is said where there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.metrics.kl import kl_BT, measure
from harness.metrics.observed import Observed
from harness.records.results import Measured, Measurement, Missing
from tests.observations import DENSE, MOE, make_logits, make_outputs, make_read, make_write


def logits_of(*probabilities: float) -> np.ndarray:
    """One position (B = T = 1) with these next-token probabilities, and a shift that changes nothing."""
    return np.log(np.array([[probabilities]])) + 3.0


def by_metric(observed: Observed) -> dict[str, Measurement]:
    """Every measurement of `observed`, by name."""
    return {measurement.metric: measurement for measurement in measure(observed)}


def value(measurement: Measurement) -> float:
    """The value of a measurement that must be there."""
    assert isinstance(measurement, Measured)
    return measurement.value


@pytest.mark.parametrize(
    ("reference", "other", "expected"),
    [
        pytest.param((0.5, 0.5), (0.25, 0.75), 0.5 * math.log(2) + 0.5 * math.log(2 / 3), id="half against quarter"),
        pytest.param((0.25, 0.75), (0.5, 0.5), 0.25 * math.log(0.5) + 0.75 * math.log(1.5), id="the other direction"),
        pytest.param((0.2, 0.3, 0.5), (0.2, 0.3, 0.5), 0.0, id="equal"),
        pytest.param((1 - 1e-12, 1e-12), (0.5, 0.5), math.log(2), id="nearly certain"),
    ],
)
def test_known_distributions(reference: tuple[float, ...], other: tuple[float, ...], expected: float) -> None:
    """KL(p‖q) = Σ p ln(p/q), in nats, in the direction that the arguments say."""
    assert [[pytest.approx(expected, rel=1e-9, abs=1e-12)]] == kl_BT(logits_of(*reference), logits_of(*other)).tolist()


def test_each_position_has_its_own_value_in_float64() -> None:
    """(B, T, V) logits of float32 give (B, T) values of float64, one a position."""
    logits_BTV = make_logits(1)
    other_BTV = logits_BTV.copy()
    other_BTV[1, 2] += np.arange(7, dtype=np.float32)
    divergence_BT = kl_BT(logits_BTV, other_BTV)
    assert ((2, 5), np.float64) == (divergence_BT.shape, divergence_BT.dtype)
    assert [(1, 2)] == list(zip(*np.nonzero(divergence_BT), strict=True))


def test_a_difference_below_float32_is_seen() -> None:
    """Two distributions that float32 cannot tell apart are told apart: the sum is in float64."""
    assert 0.0 < kl_BT(logits_of(0.5, 0.5), logits_of(0.5 + 1e-6, 0.5 - 1e-6)).item() < 1e-11


@given(
    arrays(np.float32, (1, 2, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
    arrays(np.float32, (1, 2, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
)
def test_finite_logits_never_give_nan_or_less_than_zero(reference: np.ndarray, other: np.ndarray) -> None:
    """However extreme the logits, the divergence is a finite number from 0 up, and 0 from itself."""
    divergence = kl_BT(reference, other)
    assert np.isfinite(divergence).all()
    assert (divergence >= 0.0).all()
    assert [[0.0, 0.0]] == kl_BT(reference, reference).tolist()


def test_a_route_yields_all_three_divergences_with_mean_and_max() -> None:
    """base‖trained, trained‖reloaded and base‖reloaded, over every position, and nothing is mixed up."""
    reloaded_BTV = make_logits(3)
    observed = make_read(reloaded=make_outputs(reloaded_BTV))
    assert observed.base is not None
    assert observed.trained is not None
    found = by_metric(observed)
    for name, reference_BTV, other_BTV in (
        ("kl_base_trained", observed.base.logits_BTV, observed.trained.logits_BTV),
        ("kl_trained_reloaded", observed.trained.logits_BTV, reloaded_BTV),
        ("kl_base_reloaded", observed.base.logits_BTV, reloaded_BTV),
    ):
        divergence = kl_BT(reference_BTV, other_BTV)
        for part, number in (("mean", divergence.mean()), ("max", divergence.max())):
            metric = f"{name}_{part}"
            assert Measured(metric=metric, value=float(number), unit="nats", num_compared=10) == found[metric]


def test_the_ratio_is_noise_over_signal() -> None:
    """KL(trained‖reloaded) mean over KL(base‖trained) mean; 0 for a perfect reload."""
    assert 0.0 == value(by_metric(make_read())["kl_ratio"])
    found = by_metric(make_read(reloaded=make_outputs(make_logits(3))))
    expected = value(found["kl_trained_reloaded_mean"]) / value(found["kl_base_trained_mean"])
    assert expected == value(found["kl_ratio"]) > 0


def test_ratios_are_of_signals_small_and_large() -> None:
    """Without a unit, over as many positions as the noise."""
    base, trained, reloaded = (make_outputs(make_logits(seed, scale=0.1)) for seed in (1, 2, 3))
    found = by_metric(make_read(base=base, trained=trained, reloaded=reloaded))
    signal, noise = value(found["kl_base_trained_mean"]), value(found["kl_trained_reloaded_mean"])
    assert 0 < signal < 0.1
    for name in ("kl_ratio", "kl_ratio_equal_routing"):
        assert Measured(metric=name, value=noise / signal, unit="ratio", num_compared=10) == found[name]


def test_the_signal_alone_is_measured_of_a_write() -> None:
    """A write has nothing reloaded: the signal, mean and max."""
    assert {"kl_base_trained_mean", "kl_base_trained_max"} == set(by_metric(make_write()))


def test_positions_routed_otherwise_are_left_out_of_the_equal_routing_divergence() -> None:
    """A flip at one position leaves it and the rest of its sequence out, and what is left is measured alone."""
    observed = make_read()
    assert observed.trained is not None
    logits_BTV = observed.trained.logits_BTV.copy()
    logits_BTV[0, 3:] = 9.0 * np.arange(7)
    routing_MBTK = observed.trained.routing_MBTK.copy()
    routing_MBTK[1, 0, 3, 0] = 5
    flipped = replace(observed.trained, logits_BTV=logits_BTV, routing_MBTK=routing_MBTK)
    found = by_metric(replace(observed, reloaded=flipped))
    assert 8 == found["kl_equal_routing_max"].num_compared  # type: ignore[union-attr]
    assert 0.0 == value(found["kl_equal_routing_max"]) == value(found["kl_ratio_equal_routing"])
    assert value(found["kl_trained_reloaded_max"]) > 1.0


def test_a_dense_models_positions_are_all_equally_routed() -> None:
    """Without routing, the equal-routing divergence is over every position."""
    found = by_metric(make_read(DENSE, reloaded=make_outputs(make_logits(3), DENSE)))
    assert 10 == found["kl_equal_routing_mean"].num_compared  # type: ignore[union-attr]
    assert value(found["kl_trained_reloaded_mean"]) == pytest.approx(value(found["kl_equal_routing_mean"]))


def not_finite(number: float) -> np.ndarray:
    """Logits one of which is `number`."""
    logits_BTV = make_logits(2)
    logits_BTV[0, 0, 0] = number
    return logits_BTV


FLIPPED = np.full((2, 2, 5, 2), 7)
NOISE = {"kl_trained_reloaded_mean", "kl_trained_reloaded_max", "kl_base_reloaded_mean", "kl_base_reloaded_max"}
RATIOS = {"kl_ratio", "kl_ratio_equal_routing"}
EQUAL = {"kl_equal_routing_mean", "kl_equal_routing_max", "kl_ratio_equal_routing"}
SIGNAL = {"kl_base_trained_mean", "kl_base_trained_max"}


@pytest.mark.parametrize("family", [MOE, DENSE], ids=lambda family: family.name)
@pytest.mark.parametrize(
    ("part", "logits_BTV", "lost"),
    [
        pytest.param("reloaded", None, NOISE | RATIOS | EQUAL, id="reloaded not observed"),
        pytest.param("base", None, SIGNAL | {"kl_base_reloaded_mean", "kl_base_reloaded_max"} | RATIOS, id="no base"),
        pytest.param("reloaded", make_logits(1)[..., :6], NOISE | RATIOS | EQUAL, id="another vocabulary"),
        pytest.param("reloaded", make_logits(1)[:, :4], NOISE | RATIOS | EQUAL, id="fewer positions"),
        pytest.param("reloaded", not_finite(np.nan), NOISE | RATIOS | EQUAL, id="NaN"),
        pytest.param("reloaded", not_finite(np.inf), NOISE | RATIOS | EQUAL, id="infinity"),
        pytest.param("reloaded", not_finite(-np.inf), NOISE | RATIOS | EQUAL, id="minus infinity"),
        pytest.param("base", make_logits(2), RATIOS, id="no signal"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_missing_with_a_reason(
    family: object, part: str, logits_BTV: np.ndarray | None, lost: set[str]
) -> None:
    """Never NaN, never 0, never silence: the same names are there, those that are lost as Missing."""
    whole = make_read(family)  # type: ignore[arg-type]
    outputs = None if logits_BTV is None else make_outputs(logits_BTV, family)  # type: ignore[arg-type]
    found = by_metric(replace(whole, **{part: outputs}))
    assert set(by_metric(whole)) == set(found)
    assert lost == {name for name, measurement in found.items() if isinstance(measurement, Missing)}
    assert all(m.reason for m in found.values() if isinstance(m, Missing))
    assert all(math.isfinite(m.value) for m in found.values() if isinstance(m, Measured))


def test_no_equally_routed_position_is_missing() -> None:
    """With every position routed otherwise, nothing is left to compare, and that is said."""
    found = by_metric(make_read(reloaded=make_outputs(make_logits(2), routing_MBTK=FLIPPED)))
    assert EQUAL == {name for name, measurement in found.items() if isinstance(measurement, Missing)}


def test_no_positions_are_missing() -> None:
    """Outputs of no sequence at all measure nothing."""
    empty = make_outputs(np.zeros((0, 5, 7), np.float32))
    found = by_metric(make_read(base=empty, trained=empty, reloaded=empty))
    assert {Missing} == {type(measurement) for measurement in found.values()}
