"""The one pure judge: observations and measurements in, a judgement out. No clock, no files, no order dependence.

It runs inside a cell (the tests assert its verdict) and outside (on the same observations); both must agree.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.judging.findings import cause_of, find
from harness.judging.gates import Gate, GateTable, Situation
from harness.metrics.observed import Observed
from harness.records.results import Check, Judgement, Measured, Measurement, Missing, VerdictName


def judge(observed: Observed, measurements: Sequence[Measurement], table: GateTable) -> Judgement:
    """Apply every gate that concerns this write or route, name what is wrong, and give the verdict."""
    gates = table.of(situation_of(observed))
    by_metric = {measurement.metric: measurement for measurement in measurements}
    is_weak = any(_is_below(gate, by_metric.get(gate.metric)) for gate in gates if gate.power)
    checks = tuple(
        _check(gate, by_metric[gate.metric], by_metric, is_weak=is_weak) for gate in gates if gate.metric in by_metric
    )
    verdict = _verdict(observed, checks, gates)
    if verdict == "PASS":
        return Judgement(verdict=verdict, cause="", checks=checks, findings=())
    findings = find(observed, checks)
    return Judgement(verdict=verdict, cause=cause_of(observed, findings), checks=checks, findings=findings)


def situation_of(observed: Observed) -> Situation:
    """What gates ask of a write or a route."""
    kind = "read" if observed.form else "write"
    return Situation(kind, observed.case.dtype, observed.form, observed.reach)


def _verdict(observed: Observed, checks: Sequence[Check], gates: Sequence[Gate]) -> VerdictName:
    if observed.answer.crash is not None:
        return "ERROR"
    if any(check.verdict == "FAIL" and check.carries for check in checks):
        return "FAIL"
    owed = {gate.metric for gate in gates if gate.power or (gate.carries and not gate.optional)}
    told = {check.metric for check in checks if check.verdict != "INCONCLUSIVE"}
    if not checks or not owed <= told or any(check.verdict == "INCONCLUSIVE" and check.carries for check in checks):
        return "INCONCLUSIVE"
    return "PASS"


def _is_below(gate: Gate, measurement: Measurement | None) -> bool:
    return isinstance(measurement, Measured) and measurement.value < gate.bound


def _check(gate: Gate, measurement: Measurement, by_metric: dict[str, Measurement], *, is_weak: bool) -> Check:
    if isinstance(measurement, Missing):
        return _inconclusive(gate, None, 0, measurement.reason)
    if gate.of_signal and is_weak:
        text = f"{measurement.value:.3g} {measurement.unit} of a signal that is too weak"
        return _inconclusive(gate, measurement.value, measurement.num_compared, text)
    if measurement.num_compared == 0:
        return _inconclusive(gate, measurement.value, 0, "nothing was compared")
    passed = _passes(gate, measurement, by_metric)
    bound = float(measurement.num_compared) if gate.relation == "all" else gate.bound
    if gate.power and not passed:
        text = f"signal {measurement.value:.3g} is below {bound:.3g} {measurement.unit}: a fault could not show"
        return _inconclusive(gate, measurement.value, measurement.num_compared, text)
    expected = {
        "at_most": f"at most {bound:.3g}", "at_least": f"at least {bound:.3g}", "all": f"all {measurement.num_compared}"
    }[gate.relation]  # fmt: skip
    return Check(
        name=gate.metric,
        verdict="PASS" if passed else "FAIL",
        metric=gate.metric,
        value=measurement.value,
        tolerance=bound,
        relation="equals" if gate.relation == "all" else gate.relation,
        carries=gate.carries,
        message=f"{measurement.value:.3g} {measurement.unit}, expected {expected}",
        num_compared=measurement.num_compared,
    )


def _passes(gate: Gate, measurement: Measured, by_metric: dict[str, Measurement]) -> bool:
    if gate.relation == "at_most":
        return measurement.value <= gate.bound
    if gate.relation == "at_least":
        return measurement.value >= gate.bound
    if measurement.value == measurement.num_compared:
        return True
    # A sample may leave the trained model's path where its two best tokens were nearly tied; `bound` says how nearly.
    margin = by_metric.get("sample_margin_max")
    return isinstance(margin, Measured) and margin.value <= gate.bound


def _inconclusive(gate: Gate, value: float | None, num_compared: int, message: str) -> Check:
    return Check(
        name=gate.metric,
        verdict="INCONCLUSIVE",
        metric=gate.metric,
        value=value,
        tolerance=gate.bound,
        relation="equals" if gate.relation == "all" else gate.relation,
        carries=gate.carries,
        message=message,
        num_compared=num_compared,
    )
