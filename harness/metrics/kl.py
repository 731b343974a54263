"""Kullback-Leibler divergence between next-token distributions: float64, nats, summed over the vocabulary.

The direction is in the name: `kl_base_trained` is KL(base‖trained) = Σ_v p_base(v) · ln(p_base(v) / p_trained(v)).
The signal is KL(base‖trained); the gate is on the ratio KL(trained‖reloaded) / KL(base‖trained).
"""

from __future__ import annotations

import numpy as np

from harness.metrics.observed import Observed, Outputs
from harness.metrics.routing import equally_routed
from harness.records.results import Measured, Measurement, Missing

NATS = "nats"


def kl_BT(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """KL(reference‖other) at each position, from logits (B, T, V): (B, T), in nats, never below 0."""
    log_p = _log_softmax(reference)
    log_q = _log_softmax(other)
    # Rounding can give a sum a little below zero where the two are equal.
    divergence: np.ndarray = np.maximum((np.exp(log_p) * (log_p - log_q)).sum(axis=-1), 0.0)
    return divergence


def measure(observed: Observed) -> tuple[Measurement, ...]:
    """Signal, noise and attribution: the three divergences, and their ratio."""
    base, trained, reloaded = observed.base, observed.trained, observed.reloaded
    found: list[Measurement] = list(_mean_max("kl_base_trained", base, trained))
    if observed.form == "":
        return tuple(found)
    found += _mean_max("kl_trained_reloaded", trained, reloaded)
    found += _mean_max("kl_base_reloaded", base, reloaded)
    signal = next(m for m in found if m.metric == "kl_base_trained_mean")
    noise = next(m for m in found if m.metric == "kl_trained_reloaded_mean")
    found.append(_ratio("kl_ratio", noise, signal))
    # A dense model routes nothing, so all of its positions are equally routed.
    found += _where_equally_routed(trained, reloaded, noise, signal)
    return tuple(found)


def _where_equally_routed(
    trained: Outputs | None, reloaded: Outputs | None, noise: Measurement, signal: Measurement
) -> list[Measurement]:
    names = ("kl_equal_routing_mean", "kl_equal_routing_max", "kl_ratio_equal_routing")
    if isinstance(noise, Missing):  # not observed, of another shape, or not finite: here no more than there
        return [Missing(metric=name, reason=noise.reason) for name in names]
    assert trained is not None and reloaded is not None
    equal_BT = equally_routed(trained, reloaded)
    if equal_BT is None or not equal_BT.any():
        reason = "no position is routed to the same experts in every layer"
        return [Missing(metric=name, reason=reason) for name in names]
    divergence = kl_BT(trained.logits_BTV, reloaded.logits_BTV)[equal_BT]
    mean = _measured(names[0], float(divergence.mean()), divergence.size)
    return [mean, _measured(names[1], float(divergence.max()), divergence.size), _ratio(names[2], mean, signal)]


def _mean_max(name: str, reference: Outputs | None, other: Outputs | None) -> tuple[Measurement, Measurement]:
    names = (f"{name}_mean", f"{name}_max")
    if reference is None or other is None:
        missing = "these outputs were not observed"
    elif not _same_shape(reference, other):
        missing = f"logits have shapes {reference.logits_BTV.shape} and {other.logits_BTV.shape}"
    elif not (np.isfinite(reference.logits_BTV).all() and np.isfinite(other.logits_BTV).all()):
        missing = "logits are not finite"
    else:
        divergence = kl_BT(reference.logits_BTV, other.logits_BTV)
        if divergence.size:
            return (
                _measured(names[0], float(divergence.mean()), divergence.size),
                _measured(names[1], float(divergence.max()), divergence.size),
            )
        missing = "no positions"
    return Missing(metric=names[0], reason=missing), Missing(metric=names[1], reason=missing)


def _ratio(name: str, noise: Measurement, signal: Measurement) -> Measurement:
    for part in (noise, signal):
        if isinstance(part, Missing):
            return Missing(metric=name, reason=f"{part.metric}: {part.reason}")
    assert isinstance(noise, Measured) and isinstance(signal, Measured)
    if signal.value <= 0.0:
        return Missing(metric=name, reason="base and trained compute the same: there is no signal")
    return Measured(metric=name, value=noise.value / signal.value, unit="ratio", num_compared=noise.num_compared)


def _measured(name: str, value: float, num_compared: int) -> Measured:
    return Measured(metric=name, value=value, unit=NATS, num_compared=num_compared)


def _same_shape(reference: Outputs, other: Outputs) -> bool:
    return reference.logits_BTV.shape == other.logits_BTV.shape


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted
