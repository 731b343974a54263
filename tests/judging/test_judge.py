"""The judge's truth table, on gates made for it and on the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.gates import Gate, GateTable, load_gates
from harness.judging.judge import judge, situation_of
from harness.metrics import measure_all
from harness.metrics.observed import Observed
from harness.records.jobs import Crash
from harness.records.results import Judgement, Measured, Measurement, Missing
from tests.observations import (
    DENSE,
    EXPERT_3,
    MOE,
    Weights,
    answered,
    make_case,
    make_logits,
    make_outputs,
    make_read,
    make_weights,
    make_write,
)

CRASH = Crash(stage="train", exception="ValueError", message="no", traceback="Traceback")


def gate(metric: str, relation: str = "at_most", bound: float = 1.0, **changes: object) -> Gate:
    """A gate of routes in float32 that carries, unless `changes` say otherwise."""
    made = Gate(
        metric=metric, kinds=("read",), dtypes=("float32",), relation=relation, bound=bound, num_clean=0,
        evidence="",
    )  # type: ignore[arg-type]  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def table_of(gates: tuple[Gate, ...]) -> GateTable:
    """These gates, measured nowhere."""
    return GateTable(device="cpu", measured_on="", command="", versions={}, gates=gates)


SIGNAL = gate("signal", "at_least", 0.5, power=True)
CARRIED, CONFIRMS = gate("carried"), gate("confirms", carries=False)
SAMPLES = gate("samples", "all", 0.01)
TABLE = table_of(gates=(SIGNAL, CARRIED, CONFIRMS, SAMPLES))


def lose_delta(got: Weights, base: Weights, _deltas: Weights) -> None:
    """One expert's projection is base's."""
    got[EXPERT_3] = base[EXPERT_3]


def number(metric: str, value: float, num_compared: int = 3) -> Measured:
    """A measurement."""
    return Measured(metric=metric, value=value, unit="things", num_compared=num_compared)


def missing(metric: str) -> Missing:
    """A measurement that could not be made."""
    return Missing(metric=metric, reason="it was not there")


CLEAN: dict[str, Measurement] = {
    "signal": number("signal", 0.7),
    "carried": number("carried", 0.1),
    "confirms": number("confirms", 0.1),
    "samples": number("samples", 3.0),
}


def judged(changes: Sequence[Measurement] = (), *, crash: Crash | None = None, without: str = "") -> Judgement:
    """What the judge says of the clean measurements with `changes`."""
    measurements = {**CLEAN, **{measurement.metric: measurement for measurement in changes}}
    measurements.pop(without, None)
    return judge(answered(make_read(), crash=crash), list(measurements.values()), TABLE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param([], "PASS", id="clean"),
        pytest.param([number("carried", 1.0)], "PASS", id="at the bound"),
        pytest.param([number("carried", 1.001)], "FAIL", id="a carried gate fails"),
        pytest.param([number("carried", float("nan"))], "FAIL", id="NaN is within no bound"),
        pytest.param([number("confirms", 2.0)], "PASS", id="a confirming gate alone"),
        pytest.param([number("confirms", 2.0), number("carried", 2.0)], "FAIL", id="both"),
        pytest.param([missing("confirms")], "PASS", id="a confirming measurement is missing"),
        pytest.param([number("signal", 0.5)], "PASS", id="just enough signal"),
        pytest.param([number("signal", 0.49)], "INCONCLUSIVE", id="low signal"),
        pytest.param([missing("signal")], "INCONCLUSIVE", id="no power"),
        pytest.param([number("signal", 0.7, 0)], "INCONCLUSIVE", id="power of nothing"),
        pytest.param([number("carried", 0.0, 0)], "INCONCLUSIVE", id="nothing compared"),
        pytest.param([missing("carried")], "INCONCLUSIVE", id="a carried measurement is missing"),
        pytest.param([number("samples", 2.0)], "FAIL", id="not all samples"),
        pytest.param([number("samples", 0.0, 0)], "INCONCLUSIVE", id="no samples at all are not all samples"),
        pytest.param([number("samples", 2.0), number("sample_margin_max", 0.01)], "PASS", id="a tie excuses"),
        pytest.param([number("samples", 2.0), number("sample_margin_max", 0.02)], "FAIL", id="a margin does not"),
        pytest.param([number("samples", 2.0), missing("sample_margin_max")], "FAIL", id="an unknown margin does not"),
        pytest.param([number("carried", 2.0), number("signal", 0.1)], "FAIL", id="a failure tells without signal"),
        pytest.param([number("carried", 2.0), missing("samples")], "FAIL", id="failure before inconclusive"),
    ],
)
def test_the_truth_table(changes: list[Measurement], expected: str) -> None:
    """Failures first, then what could not be told, and only then PASS."""
    assert expected == judged(changes).verdict


@pytest.mark.parametrize("changes", [[], [number("carried", 9.0)], [missing("signal")]], ids=["pass", "fail", "untold"])
def test_a_crash_is_an_error_whatever_was_measured(changes: list[Measurement]) -> None:
    """It did not finish, so nothing else that it did decides."""
    found = judged(changes, crash=CRASH)
    assert ("ERROR", "crashed train ValueError no") == (found.verdict, found.cause)
    assert ["crashed"] == [finding.kind for finding in found.findings]


def test_power_that_was_not_even_measured_is_owed() -> None:
    """A power gate whose metric is not among the measurements cannot be passed by silence."""
    assert "INCONCLUSIVE" == judged(without="signal").verdict


def test_a_gate_that_carries_must_find_its_metric() -> None:
    """A metric that says nothing at all is no pass; one that some models do not have may be silent."""
    assert "INCONCLUSIVE" == judged(without="carried").verdict
    assert "PASS" == judged(without="confirms").verdict
    table = table_of(gates=(SIGNAL, replace(CARRIED, optional=True)))
    assert "PASS" == judge(make_read(), [CLEAN["signal"]], table).verdict


def test_a_confirming_check_that_tells_nothing_leaves_nothing_to_complain_of() -> None:
    """A pass is a pass."""
    found = judged([missing("confirms")])
    assert ("PASS", "", ()) == (found.verdict, found.cause, found.findings)
    assert ["confirms"] == [check.metric for check in found.checks if check.verdict == "INCONCLUSIVE"]


@pytest.mark.parametrize(
    ("more", "measurement"),
    [
        pytest.param(replace(SIGNAL, metric="power", carries=False), number("power", 0.1), id="power"),
        pytest.param(replace(CARRIED, metric="some", optional=True), missing("some"), id="of some models"),
    ],
)
def test_what_tells_nothing_is_no_pass_for_another_reason_each(more: Gate, measurement: Measurement) -> None:
    """Power is owed though it carries nothing; what not every model has tells nothing where it is missing."""
    measurements = [*CLEAN.values(), measurement]
    assert "INCONCLUSIVE" == judge(make_read(), measurements, table_of((*TABLE.gates, more))).verdict
    told = number(measurement.metric, 0.9)
    assert "PASS" == judge(make_read(), [*CLEAN.values(), told], table_of((*TABLE.gates, more))).verdict


def test_nothing_measured_is_inconclusive() -> None:
    """No measurements, and no gates, tell nothing."""
    assert "INCONCLUSIVE" == judge(make_read(), [], TABLE).verdict
    assert "INCONCLUSIVE" == judge(make_read(), list(CLEAN.values()), table_of(gates=())).verdict


def test_gates_stand_for_their_kind_and_dtype_alone() -> None:
    """A gate of writes, or of another dtype, is not asked; the same for this one is."""
    failing = [number("signal", 0.7), number("carried", 9.0)]
    for changes, expected in (({"kinds": ("write",)}, "PASS"), ({"dtypes": ("bfloat16",)}, "PASS"), ({}, "FAIL")):
        table = table_of(gates=(SIGNAL, replace(CARRIED, **changes)))  # type: ignore[arg-type]
        assert expected == judge(make_read(), failing, table).verdict


def test_across_stacks_what_does_not_carry_is_shown_and_fails_nothing() -> None:
    """The same divergence in bfloat16: it fails a route within one stack, and confirms nothing across two."""
    trained = make_outputs(make_logits(2))
    reloaded = replace(trained, logits_BTV=make_logits(3))  # beyond all stages, which carry everywhere
    within = make_read(case=make_case(dtype="bfloat16"), trained=trained, reloaded=reloaded)
    across = answered(within, stack="jax_stacked")
    found = [judge(observed, measure_all(observed), load_gates()) for observed in (within, across)]
    assert ["FAIL", "PASS"] == [each.verdict for each in found]
    checks = [next(c for c in each.checks if c.metric == "kl_ratio_equal_routing") for each in found]
    assert [("FAIL", True), ("FAIL", False)] == [(check.verdict, check.carries) for check in checks]


def test_an_adapter_that_its_own_row_reloads_has_no_noise() -> None:
    """In bfloat16 the same small difference passes further away, and of a merge; and none at all passes everywhere."""
    trained = make_outputs(make_logits(2))
    off = replace(trained, logits_BTV=trained.logits_BTV * np.float32(1 + 1e-3))
    case = make_case(dtype="bfloat16")
    for form, is_own_row, expected in (("lora", True, "FAIL"), ("lora", False, "PASS"), ("merged", True, "PASS")):
        route = make_read(case=case, form=form, is_own_row=is_own_row)
        for observed, verdict in ((route, "PASS"), (replace(route, reloaded=off), expected)):
            assert verdict == judge(observed, measure_all(observed), load_gates()).verdict


def test_across_stacks_a_stage_that_is_off_fails() -> None:
    """What hurts a position is seen in bfloat16 too, where its router chooses otherwise and the ratio leaves it out."""
    stage = make_outputs(make_logits(2)).stages["layers.0"]
    trained = make_outputs(make_logits(2), stages={"layers.0.self_attn": stage, "layers.0": stage})
    routing = trained.routing_MBTK.copy()
    routing[0, :, 1:] += 1
    reloaded = replace(trained, stages=dict.fromkeys(trained.stages, 2 * stage), routing_MBTK=routing)
    route = make_read(case=make_case(dtype="bfloat16"), trained=trained, reloaded=reloaded)
    for observed in (route, answered(route, stack="jax_stacked")):
        found = judge(observed, measure_all(observed), load_gates())
        assert "FAIL" == found.verdict
        assert "stage_error_max" in {check.metric for check in found.checks if check.verdict == "FAIL"}


def test_across_stacks_the_weights_still_fail_and_float32_is_judged_as_ever() -> None:
    """A lost delta fails in bfloat16 too; in float32 a divergence fails a route whichever stacks it is between."""
    case = make_case(dtype="bfloat16")
    broken = make_read(case=case, weights=make_weights(case=case, damage=lose_delta))
    plain = make_read(reloaded=make_outputs(make_logits(3)))
    for observed in (broken, plain):
        for stack in ("torch_peft", "jax_stacked"):
            routed = answered(observed, stack=stack)
            assert "FAIL" == judge(routed, measure_all(routed), load_gates()).verdict


def test_a_pass_has_its_checks_and_nothing_to_complain_of() -> None:
    """Every gate is shown with value, tolerance, relation and how many were compared; there is no cause."""
    found = judged()
    assert ("", ()) == (found.cause, found.findings)
    assert [("signal", 0.7, 0.5, "at_least"), ("carried", 0.1, 1.0, "at_most"), ("confirms", 0.1, 1.0, "at_most"),
            ("samples", 3.0, 3.0, "equals")] == [
        (check.metric, check.value, check.tolerance, check.relation) for check in found.checks
    ]  # fmt: skip
    assert {3} == {check.num_compared for check in found.checks}
    assert [True, True, False, True] == [check.carries for check in found.checks]


def test_an_inconclusive_check_says_why() -> None:
    """The reason of a missing measurement, the emptiness of an empty one, the signal of a weak one; never silence."""
    found = judged([missing("carried"), number("samples", 0.0, 0), number("signal", 0.1)])
    messages = {check.metric: check.message for check in found.checks if check.verdict == "INCONCLUSIVE"}
    assert {"signal", "carried", "samples"} == set(messages)
    assert ("it was not there", "nothing was compared") == (messages["carried"], messages["samples"])
    assert "0.1 is below 0.5" in messages["signal"]
    assert None is next(check.value for check in found.checks if check.metric == "carried")
    assert {"no_signal", "not_measured"} & {finding.kind for finding in found.findings}


def test_a_ratio_to_a_signal_that_is_too_weak_tells_nothing() -> None:
    """Neither that all is well nor that it is not; what is no ratio still fails."""
    table = table_of(gates=(SIGNAL, gate("carried", of_signal=True), gate("samples")))
    observed = make_read()

    def judged_of(signal: float, ratio: float, other: float) -> Judgement:
        numbers = [number("signal", signal), number("carried", ratio), number("samples", other)]
        return judge(observed, numbers, table)

    for strong in (0.5, 0.7):  # its floor is 0.5, which is enough
        assert ["PASS", "FAIL"] == [judged_of(strong, ratio, 0.0).verdict for ratio in (0.1, 9.0)]
    assert ["INCONCLUSIVE"] * 2 == [judged_of(0.1, ratio, 0.0).verdict for ratio in (0.1, 9.0)]
    assert "FAIL" == judged_of(0.1, 9.0, 9.0).verdict
    [check] = [check for check in judged_of(0.1, 9.0, 0.0).checks if check.metric == "carried"]
    assert ("INCONCLUSIVE", 9.0, 3) == (check.verdict, check.value, check.num_compared)
    assert "9 things of a signal that is too weak" == check.message


REAL = {
    f"{family.name} {dtype} {kind}": make(family, case=make_case(family, dtype=dtype))
    for family in (MOE, DENSE)
    for dtype in ("float32", "bfloat16")
    for kind, make in (("write", make_write), ("read", make_read))
}


@pytest.mark.parametrize("situation", REAL)
def test_what_is_clean_passes_the_real_gates(situation: str) -> None:
    """The clean control of every other test here, with something compared by every check."""
    found = judge(REAL[situation], measure_all(REAL[situation]), load_gates())
    assert "PASS" == found.verdict
    assert len(found.checks) >= 6
    assert all(check.num_compared > 0 for check in found.checks)


def emptied(measurement: Measurement) -> Measurement:
    """The same, of nothing."""
    return replace(measurement, num_compared=0) if isinstance(measurement, Measured) else measurement


def lost(measurement: Measurement) -> Measurement:
    """The same, not made."""
    return Missing(metric=measurement.metric, reason="a test")


@given(st.data())
def test_nothing_compared_never_passes(data: st.DataObject) -> None:
    """Whichever measurements that carry the verdict are missing or of nothing, however many: it is not PASS."""
    observed = REAL[data.draw(st.sampled_from(sorted(REAL)))]
    measurements = {measurement.metric: measurement for measurement in measure_all(observed)}
    gates = load_gates().of(situation_of(observed))
    carried = {gate.metric for gate in gates if gate.carries or gate.power} & set(measurements)
    for metric in data.draw(st.sets(st.sampled_from(sorted(carried)), min_size=1)):
        spoil: Callable[[Measurement], Measurement] = data.draw(st.sampled_from([emptied, lost]))
        measurements[metric] = spoil(measurements[metric])
    assert "INCONCLUSIVE" == judge(observed, list(measurements.values()), load_gates()).verdict


@given(st.data())
def test_the_order_of_measurements_does_not_matter(data: st.DataObject) -> None:
    """The same measurements in any order give the same judgement."""
    observed = REAL[data.draw(st.sampled_from(sorted(REAL)))]
    measurements = measure_all(observed)
    shuffled = data.draw(st.permutations(measurements))
    assert judge(observed, measurements, load_gates()) == judge(observed, shuffled, load_gates())


@pytest.mark.parametrize("family", [MOE, DENSE], ids=lambda family: family.name)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("part", ["base", "trained", "reloaded", "weights"])
def test_a_route_without_one_of_its_parts_never_passes(family: object, dtype: str, part: str) -> None:
    """An observation that is not there is no evidence, whatever the family and the dtype."""
    whole: Observed = make_read(family, case=make_case(family, dtype=dtype))  # type: ignore[arg-type]
    observed = replace(whole, **{part: None})
    assert "INCONCLUSIVE" == judge(observed, measure_all(observed), load_gates()).verdict
    assert "PASS" == judge(whole, measure_all(whole), load_gates()).verdict


@pytest.mark.parametrize("part", ["base", "trained", "weights"])
def test_a_write_without_one_of_its_parts_never_passes(part: str) -> None:
    """As for a route."""
    observed = replace(make_write(), **{part: None})
    assert "INCONCLUSIVE" == judge(observed, measure_all(observed), load_gates()).verdict
