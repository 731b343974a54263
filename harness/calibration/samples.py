"""What was measured, as calibration needs it: one number a metric and result, clean or struck. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from harness.calibration.policy import Policy
from harness.judging.gates import Situation
from harness.records.jobs import STRUCK, Reach
from harness.records.results import Measured, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one result."""

    metric: str
    situation: Situation
    value: float
    num_compared: int
    result: str
    fault: str
    """Empty for a clean one."""
    caught_by: tuple[str, ...] = ()
    """Metrics whose gates failed in the same result, and carry."""


def samples_of(result: Result, fault: str, *, across_stacks: bool) -> Iterator[Sample]:
    """Every number of a result."""
    situation = Situation(result.kind, result.dtype, result.form, _reach(result, fault, across_stacks=across_stacks))
    failed = tuple(check.metric for check in result.judgement.checks if check.verdict == "FAIL" and check.carries)
    for measurement in result.measurements:
        if isinstance(measurement, Measured):
            yield Sample(
                metric=measurement.metric,
                situation=situation,
                value=measurement.value,
                num_compared=measurement.num_compared,
                result=result.id,
                fault=fault,
                caught_by=failed,
            )


def concerning(samples: Iterable[Sample], policy: Policy) -> list[Sample]:
    """Those that the gate of this policy would judge; of faults also those on a shorter way.

    Faults are put into jobs whose reader is the row that wrote. Further away they are no smaller: only noise is added.
    """
    situations = frozenset(policy.situations())
    anywhere = frozenset(_anywhere(situation) for situation in situations)
    return [
        sample
        for sample in samples
        if sample.metric == policy.metric
        and (sample.situation in situations or (sample.fault and _anywhere(sample.situation) in anywhere))
    ]


def _anywhere(situation: Situation) -> Situation:
    return situation._replace(reach="")


def _reach(result: Result, fault: str, *, across_stacks: bool) -> Reach | Literal[""]:
    """A variation of a clean read stands for another row of its stack: it is done on purpose in another way."""
    if result.kind == "write":
        return ""
    if across_stacks:
        return "other_stack"
    is_varied = not fault and STRUCK in result.id
    return "own_row" if result.writer == result.reader and not is_varied else "own_stack"
