"""Between noise and nearest fault: where a gate stands, what it cannot see, and who sees that instead. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.calibration.policy import Policy
from harness.calibration.samples import Sample, concerning
from harness.errors import CaseError

APART = 10.0
"""How many times the noise a fault's value must be to be one that this metric can tell."""
LEAST_NOISE = 1e-16
"""What a metric that has shown no noise at all may have, relative to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The numbers of one gate."""

    bound: float
    noise: float | None
    """The worst of the clean results; None where there were none."""
    num_clean: int
    nearest: float | None
    """Of the faults that it can tell, the one nearest to the noise; None if there is none."""
    nearest_fault: str
    unseen: tuple[str, ...] = ()
    """Faults in weights that lie on the clean side, each with the metric that catches it."""
    carries: bool


def place(policy: Policy, clean: Sequence[Sample], struck: Sequence[Sample]) -> Placed:
    """The gate of one policy. Raises CaseError where the clean results themselves would fail a bound that is given."""
    quiet, loud = concerning(clean, policy), concerning(struck, policy)
    values = [_value(policy, sample) for sample in quiet]
    worst = _worst(policy, values)
    if policy.bound is None and worst is None:
        raise CaseError("no clean result has this metric: nothing can place its gate", where=policy.metric)
    apart = [sample for sample in loud if worst is not None and _is_apart(policy, _value(policy, sample), worst)]
    nearest = min(apart, key=lambda sample: _distance(policy, _value(policy, sample)), default=None)
    bound = policy.bound if policy.bound is not None else _between(policy, worst, nearest)
    is_judged = policy.relation != "all" and not policy.power
    if is_judged and worst is not None and not _passes(policy, worst, bound):
        raise CaseError(
            "a clean result fails the bound that policy gives",
            where=policy.metric,
            expected=f"{bound:g}",
            got=f"{worst:g}",
        )
    passed = [sample for sample in loud if is_judged and _passes(policy, _value(policy, sample), bound)]
    unseen = {sample.fault: sample.caught_by for sample in passed}
    return Placed(
        bound=bound,
        noise=worst,
        num_clean=len(quiet),
        nearest=None if nearest is None else _value(policy, nearest),
        nearest_fault="" if nearest is None else nearest.fault,
        unseen=tuple(f"{fault} ({', '.join(metrics) or 'nothing'})" for fault, metrics in sorted(unseen.items())),
        # A gate that no fault is beyond tells nothing apart, and must not fail anybody.
        carries=policy.carries and (nearest is not None or policy.bound is not None),
    )


def _value(policy: Policy, sample: Sample) -> float:
    """Of a count of equals, how many are not."""
    return sample.num_compared - sample.value if policy.relation == "all" else sample.value


def _worst(policy: Policy, values: Sequence[float]) -> float | None:
    if not values:
        return None
    return min(values) if policy.relation == "at_least" else max(values)


def _is_apart(policy: Policy, value: float, worst: float) -> bool:
    if policy.relation == "at_least":
        return value < worst / APART
    return value > APART * max(worst, LEAST_NOISE) if policy.relation == "at_most" else value > worst


def _distance(policy: Policy, value: float) -> float:
    return -value if policy.relation == "at_least" else value


def _passes(policy: Policy, value: float, bound: float) -> bool:
    return value >= bound if policy.relation == "at_least" else value <= bound


def _between(policy: Policy, worst: float | None, nearest: Sample | None) -> float:
    """The geometric middle, on two digits, rounded towards the noise. Without a fault beyond: APART of the noise."""
    assert worst is not None
    noise = max(worst, LEAST_NOISE)
    if nearest is None:
        return noise / APART if policy.relation == "at_least" else _rounded(APART * noise, math.ceil)
    middle = math.sqrt(noise * max(nearest.value, LEAST_NOISE))
    return _rounded(middle, math.ceil if policy.relation == "at_least" else math.floor)


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{towards(value / digit) * digit:.1e}")
