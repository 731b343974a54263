"""What was measured, as calibration needs it: one number a metric and result, clean or struck. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.calibration.policy import Policy
from harness.records.results import Measured, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one result."""

    metric: str
    kind: str
    dtype: str
    across_stacks: bool
    value: float
    num_compared: int
    result: str
    fault: str
    """Empty for a clean one."""
    caught_by: tuple[str, ...] = ()
    """Metrics whose gates failed in the same result, and carry."""


def samples_of(result: Result, fault: str, *, across_stacks: bool) -> Iterator[Sample]:
    """Every number of a result."""
    failed = tuple(check.metric for check in result.judgement.checks if check.verdict == "FAIL" and check.carries)
    for measurement in result.measurements:
        if isinstance(measurement, Measured):
            yield Sample(
                metric=measurement.metric,
                kind=result.kind,
                dtype=result.dtype,
                across_stacks=across_stacks,
                value=measurement.value,
                num_compared=measurement.num_compared,
                result=result.id,
                fault=fault,
                caught_by=failed,
            )


def concerning(samples: Iterable[Sample], policy: Policy) -> list[Sample]:
    """Those that the gate of this policy would judge."""
    return [
        sample
        for sample in samples
        if sample.metric == policy.metric
        and sample.kind in policy.kinds
        and sample.dtype in policy.dtypes
        and policy.across_stacks != ("no" if sample.across_stacks else "only")
    ]
