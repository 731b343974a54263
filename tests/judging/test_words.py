"""What people read of a result that did not pass: its findings whole, and its checks whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.judging.findings import find
from harness.judging.gates import Gate, GateTable, load_gates
from harness.judging.judge import judge, situation_of
from harness.metrics import layers, measure_all
from harness.metrics.inventory import owed_files
from harness.metrics.observed import Observed
from harness.metrics.weight_table import WeightTable
from harness.records.jobs import Contradiction, Crash, FieldValue, LoadReport
from harness.records.results import Check, Finding, Judgement, Location, Measured, Measurement, Missing
from tests.observations import (
    EXPERT_3,
    NORM,
    Damage,
    Weights,
    answered,
    make_case,
    make_logits,
    make_outputs,
    make_read,
    make_weights,
    make_write,
    owed_names,
)

READ, WRITE, OUTPUTS = make_read(), make_write(), make_outputs(make_logits(2))
FIRST_LOSS, *LATER_LOSSES = WRITE.answer.losses
ATTENTION = ("model.layers.0.self_attn.o_proj.weight", "model.layers.1.self_attn.q_proj.weight")
HERE = Location(tensor=EXPERT_3, layer=1, expert=3)
LONG = "cannot open for " + "very " * 100 + "long"


def judged(observed: Observed) -> Judgement:
    """Under the real gates."""
    return judge(observed, measure_all(observed), load_gates())


def without(*names: str, trained: bool = True) -> Damage:
    """These tensors are base's; if they were not `trained`, their deltas are zero."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in names:
            got[name] = base[name]
            if not trained:
                deltas[name] = 0 * deltas[name]

    return damage


def elsewhere(got: Weights, base: Weights, deltas: Weights) -> None:
    """What is not adapted is one larger, and there is a tensor too many."""
    got[NORM] = base[NORM] + np.ones((3, 2), np.float32)
    got["model.layers.1.ghost"] = base[NORM]


def noted(**notes: object) -> Observed:
    """A write with these notes."""
    return answered(WRITE, notes={**WRITE.answer.notes, **notes})


def adapted(*, without: str, more: tuple[str, ...]) -> Observed:
    """A write that adapted something else."""
    names = (name for name in WRITE.answer.adapted if name != without)
    return answered(WRITE, adapted=(*names, *more))


def stored_as(dtype: str, *names: str, damage: Damage | None = None) -> WeightTable:
    """Weights of which these were stored in another dtype."""
    table = make_weights(damage=damage)
    stored = np.where(np.isin(table.name, names), dtype, table.stored_dtype)
    return replace(table, stored_dtype=stored)


def off_at(**factors: float) -> Observed:
    """A route whose logits are others, and whose stages (a dot in a name is an underscore) are times a factor."""
    stages = {
        name: values * np.float32(factors.get(name.replace(".", "_"), 1)) for name, values in OUTPUTS.stages.items()
    }
    return make_read(reloaded=replace(OUTPUTS, logits_BTV=make_logits(3), stages=stages))


def crashed(message: str) -> Observed:
    """A route that ended with this message."""
    crash = Crash(stage="load_adapter", exception="RuntimeError", message=message, traceback="")
    return answered(READ, crash=crash)


def said(kind: str, message: str, tensor: str = "", **more: object) -> Finding:
    """A finding of this tensor, or of none."""
    return replace(Finding(kind=kind, message=message, where=Location(tensor=tensor)), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param(
            answered(WRITE, losses=(FIRST_LOSS, *LATER_LOSSES[:5])),
            [said("steps_lost", "training took another number of steps than the case asks for",
                  expected="30 steps", got="6 losses")],
            id="steps",
        ),
        pytest.param(
            replace(WRITE, weights=make_weights(damage=without(*ATTENTION, trained=False))),
            [said("delta_untrained", f"2 tensors like {ATTENTION[0]} are adapted and reached, and never trained",
                  ATTENTION[0], num_alike=2)],
            id="never trained",
        ),
        pytest.param(
            noted(initial={"model.layers.1.x": [0.7, 1536.0], "model.layers.0.x": [0.7, 1536.0], EXPERT_3: [0.7, 99.0],
                           "good": [1.0, 99.0]}),
            [said("initialisation_wrong", f"{EXPERT_3} is begun with another spread than PEFT's",
                  where=HERE),
             said("initialisation_wrong", "2 tensors like model.layers.0.x are begun with another spread than PEFT's",
                  "model.layers.0.x", num_alike=2)],
            id="another beginning",
        ),
        pytest.param(
            answered(READ, loading=LoadReport(
                missing=("model.layers.0.a", "model.layers.11.a"), unexpected=(EXPERT_3,), mismatched=("x", "head"))),
            [said("keys_missing", "2 keys like model.layers.*.a were reported missing by the loader",
                  "model.layers.0.a", num_alike=2),
             said("keys_unexpected", "1 keys like model.layers.*.mlp.experts.*.gate_proj.weight were reported "
                  "unexpected by the loader", where=HERE),
             said("keys_mismatched", "1 keys like head were reported mismatched by the loader", "head"),
             said("keys_mismatched", "1 keys like x were reported mismatched by the loader", "x")],
            id="keys",
        ),
        pytest.param(
            adapted(without="", more=("odd.1.x",)),
            [said("coverage_extra", "odd.1.x is adapted without being asked for", "odd.1.x")],
            id="more than was asked for",
        ),
        pytest.param(
            answered(
                make_read(weights=make_weights(damage=without(EXPERT_3))),
                fields=(FieldValue(name="eps", expected="1", got="2"),), loading=LoadReport(missing=("x",)),
            ),
            [said("config_changed", "eps came back as 2", "eps", expected="1", got="2"),
             said("keys_missing", "1 keys like x were reported missing by the loader", "x"),
             said("delta_missing", "1 tensor of experts.gate: delta_missing (layers 1, experts 3)", where=HERE,
                  expected="recovered 1.0000, residual 0", got="recovered 0.0000, residual 1")],
            id="several of a route",
        ),
        pytest.param(
            answered(
                replace(adapted(without="", more=("odd.1.x",)), files=(),
                        weights=stored_as("float16", EXPERT_3, damage=elsewhere)),
                fields=(FieldValue(name="eps", expected="1", got="2"),),
                contradictions=(Contradiction(kind="index_mismatch", message="no such shard", file="one"),),
            ),
            [said("config_changed", "eps came back as 2", "eps", expected="1", got="2"),
             said("index_mismatch", "no such shard", expected="one"),
             said("passthrough_changed", "1 tensor of norm: passthrough_changed (layers none, experts none)", NORM,
                  expected="equal to base", got="recovered 0.0000, residual 2.45"),
             said("tensor_unexpected", "model.layers.1.ghost has no place in base", "model.layers.1.ghost"),
             said("dtype_changed", f"{EXPERT_3} is stored as float16, and float32 in base",
                  where=HERE, expected="float32", got="float16"),
             said("coverage_extra", "odd.1.x is adapted without being asked for", "odd.1.x"),
             *(said(kind, f"{path} was not saved", expected=path, got="no such file") for kind, path in (
                 ("file_missing", "adapter/adapter_config.json"),
                 ("file_missing", "adapter/adapter_model.safetensors"),
                 ("file_missing", "merged/config.json"),
                 ("generation_config_missing", "merged/generation_config.json"),
                 ("tokenizer_changed", "merged/tokenizer.json"),
                 ("tokenizer_changed", "merged/tokenizer_config.json"),
             ))],
            id="several of a write",
        ),
        pytest.param(
            answered(READ, fields=(FieldValue(name="rope_theta", expected="300.0", got="10000.0"),)),
            [said("config_changed", "rope_theta came back as 10000.0", "rope_theta", expected="300.0", got="10000.0")],
            id="a field",
        ),
        pytest.param(
            make_write(files=tuple(name for name in owed_files(WRITE) if name != "merged/config.json")),
            [said("file_missing", "merged/config.json was not saved", expected="merged/config.json",
                  got="no such file")],
            id="a file",
        ),
        pytest.param(
            crashed(f"\n {LONG} 7\nsecond line"),
            [said("crashed", f"load_adapter raised RuntimeError: {LONG[:300]}", expected="load_adapter to finish",
                  got="load_adapter RuntimeError cannot open for very very very very very")],
            id="a crash",
        ),
        pytest.param(
            crashed("  "),
            [said("crashed", "load_adapter raised RuntimeError: ", expected="load_adapter to finish",
                  got="load_adapter RuntimeError")],
            id="a crash without a word",
        ),
        pytest.param(
            make_read(weights=make_weights(damage=without(EXPERT_3))),
            [said("delta_missing", "1 tensor of experts.gate: delta_missing (layers 1, experts 3)", where=HERE,
                  expected="recovered 1.0000, residual 0", got="recovered 0.0000, residual 1")],
            id="a delta",
        ),
        pytest.param(
            make_read(weights=make_weights(damage=elsewhere)),
            [said("passthrough_changed", "1 tensor of norm: passthrough_changed (layers none, experts none)", NORM,
                  expected="equal to base", got="recovered 0.0000, residual 2.45"),
             said("tensor_unexpected", "model.layers.1.ghost has no place in base", "model.layers.1.ghost")],
            id="not adapted",
        ),
        pytest.param(
            replace(WRITE, weights=stored_as("float16", EXPERT_3, *ATTENTION)),
            [said("dtype_changed", f"2 tensors like {ATTENTION[0]} are stored as float16, and float32 in base",
                  ATTENTION[0], num_alike=2, expected="float32", got="float16"),
             said("dtype_changed", f"{EXPERT_3} is stored as float16, and float32 in base",
                  where=HERE, expected="float32", got="float16")],
            id="dtypes",
        ),
        pytest.param(
            answered(WRITE, contradictions=(
                Contradiction(kind="tensor_duplicated", message="is in two shards", tensor=EXPERT_3, file="two"),
                Contradiction(kind="index_mismatch", message="the index has no such shard", file="one"),
            )),
            [said("index_mismatch", "the index has no such shard", expected="one"),
             said("tensor_duplicated", "is in two shards", where=HERE, expected="two")],
            id="contradictions",
        ),
        pytest.param(
            adapted(without=EXPERT_3, more=("odd.2.x", "odd.1.x")),
            [said("coverage_lost", "1 of 16 tensors of experts.gate are asked for and not adapted", where=HERE),
             said("coverage_extra", "2 tensors like odd.1.x are adapted without being asked for", "odd.1.x",
                  num_alike=2)],
            id="coverage",
        ),
    ],
)  # fmt: skip
def test_what_is_found_is_told_whole(observed: Observed, expected: list[Finding]) -> None:
    """Kind, words, place, what was expected and what there is, and of how many; and nothing beside it."""
    assert expected == list(judged(observed).findings)


@pytest.mark.parametrize(
    ("observed", "metric", "kind", "words"),
    [
        pytest.param(answered(WRITE, losses=(FIRST_LOSS / 8, *LATER_LOSSES)), "first_loss_error", "loss_wrong",
                     "the first loss is not the cross-entropy of the base model", id="loss"),
        pytest.param(noted(kept_in_training=[2, 6]), "kept_in_training", "cache_kept",
                     "the forward pass of training returns keys and values", id="cache"),
        pytest.param(make_read(reloaded=replace(OUTPUTS, forced_SN=np.ones((3, 4)))), "decoding_error",
                     "decoding_differs", "generation does not compute what one pass does", id="decoding"),
        pytest.param(make_read(reloaded=replace(OUTPUTS, unrepeated=np.asarray(1))), "logits_unrepeated",
                     "evaluation_random", "two passes over the same tokens differ", id="evaluation"),
        pytest.param(make_read(reloaded=replace(OUTPUTS, drawn_SN=np.zeros((4, 2), int))), "samples_repeated",
                     "samples_repeated", "samples drawn under one seed are one sample", id="drawing"),
        pytest.param(make_read(reloaded=make_outputs(np.full_like(OUTPUTS.logits_BTV, np.nan))), "logits_not_finite",
                     "logits_not_finite", "logits are not numbers", id="no numbers"),
        pytest.param(make_read(reloaded=replace(OUTPUTS, logits_BTV=make_logits(3))), "kl_ratio_equal_routing",
                     "logits_differ", "the reloaded model does not compute what the trained model did", id="logits"),
        pytest.param(make_read(reloaded=replace(OUTPUTS, tokens_SN=OUTPUTS.tokens_SN + 1)), "samples_equal",
                     "samples_differ", "greedy samples differ", id="samples"),
        pytest.param(replace(READ, base=READ.trained), "kl_base_trained_mean", "no_signal", "kl_base_trained_mean",
                     id="signal"),
        pytest.param(make_read(weights=None), "weight_residual_max", "not_measured", "weight_residual_max",
                     id="not measured"),
    ],
)  # fmt: skip
def test_what_a_check_found_is_told_with_the_checks_own_words(
    observed: Observed, metric: str, kind: str, words: str
) -> None:
    """The number and its bound stand behind the words; there is no place to name."""
    found = judged(observed)
    message = next(check.message for check in found.checks if check.metric == metric)
    assert message
    assert Finding(kind=kind, message=f"{words}: {message}") in found.findings


def stage_of(observed: Observed, checks: Sequence[Check]) -> Finding:
    """What is said of logits that differ."""
    return next(finding for finding in find(observed, checks) if finding.kind == "logits_differ")


def test_logits_that_differ_are_told_with_the_stage_that_is_beyond_its_own_gate() -> None:
    """Not with one that is beyond another's; and without a stage where no gate judges stages."""
    checks = judged(off_at(layers_1=1.001)).checks
    number = next(check for check in checks if check.metric == layers.NAME)
    text = "the reloaded model does not compute what the trained model did: "
    ratio = next(check.message for check in checks if check.metric == "kl_ratio_equal_routing")
    stage = "layers.1 (relative difference 0.001)"
    assert stage_of(off_at(layers_1=1.001), checks) == said(
        "logits_differ", f"{text}{ratio}; first at {stage}", where=Location(layer=1),
        expected=f"every stage within {number.tolerance:.3g}", got=stage,
    )  # fmt: skip
    assert said("logits_differ", text + ratio) == stage_of(off_at(layers_1=1.000001), checks)
    others = [check for check in checks if check.metric != layers.NAME]
    assert said("logits_differ", text + ratio) == stage_of(off_at(layers_1=1.001), others)


def test_a_group_lists_its_layers_and_experts() -> None:
    """Few one by one, many in a row from first to last, and the worst tensor is named for all."""
    found = judged(make_read(weights=make_weights(damage=without(*owed_names(READ.family, READ.case)))))
    assert [
        "8 tensors of attention: delta_missing (layers 0, 1, experts none)",
        "16 tensors of experts.down: delta_missing (layers 0, 1, experts 0 to 7)",
        "16 tensors of experts.gate: delta_missing (layers 0, 1, experts 0 to 7)",
        "16 tensors of experts.up: delta_missing (layers 0, 1, experts 0 to 7)",
    ] == [finding.message for finding in found.findings]


def of_experts(*numbers: int) -> str:
    """What is said of these experts' gates in layer 1, of a model that has twenty, all with small deltas."""
    case = make_case(config={"num_experts": 20})
    names = [EXPERT_3.replace(".3.", f".{number}.") for number in numbers]

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in names:
            deltas[name] = deltas[name] * np.float32(0.01)
            got[name] = base[name]

    (finding,) = judged(make_read(case=case, weights=make_weights(case=case, damage=damage))).findings
    assert ("recovered 1.0000, residual 0", "recovered 0.0000, residual 1") == (finding.expected, finding.got)
    assert len(numbers) == finding.num_alike
    return finding.message


@pytest.mark.parametrize(
    ("numbers", "listed"),
    [
        pytest.param((3, 4), "3, 4", id="two"),
        pytest.param((3, 4, 5), "3, 4, 5", id="three in a row"),
        pytest.param((3, 4, 5, 6), "3 to 6", id="four in a row"),
        pytest.param((3, 4, 5, 7), "3, 4, 5, 7", id="four that are not"),
        pytest.param(range(4, 20), "4 to 19", id="many in a row"),
        pytest.param((*range(1, 12), 19), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 19", id="twelve that are not"),
        pytest.param((*range(1, 13), 19), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 1 more", id="one more"),
        pytest.param((*range(1, 15), 19), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 3 more", id="more"),
    ],
)
def test_numbers_are_listed_as_people_read_them(numbers: Sequence[int], listed: str) -> None:
    """From first to last where they follow each other, else one by one, at most twelve; however small the deltas."""
    text = f"{len(numbers)} tensors of experts.gate: delta_missing (layers 1, experts {listed})"
    assert text == of_experts(*numbers)


@pytest.mark.parametrize(
    ("column", "kind"), [("present", "tensor_missing"), ("shape_ok", "shape_mismatch"), ("finite", "non_finite")]
)
def test_a_tensor_that_is_not_adapted_and_cannot_be_used(column: str, kind: str) -> None:
    """Is named, though no delta lacks."""
    table = make_weights()
    usable = getattr(table, column).copy()
    usable[table.name.tolist().index(NORM)] = False
    (finding,) = judged(make_read(weights=replace(table, **{column: usable}))).findings
    assert (kind, NORM) == (finding.kind, finding.where.tensor)


def test_a_tensor_that_has_no_role_is_called_by_its_pattern() -> None:
    """In the message and in the cause."""
    table = make_weights(damage=elsewhere)
    names = np.where(table.name == NORM, "odd.3.weight", table.name)
    found = judged(make_read(weights=replace(table, name=names, unexpected=table.unexpected[:0])))
    assert "passthrough_changed odd.*.weight" == found.cause
    assert "1 tensor of odd.*.weight: passthrough_changed (layers none, experts none)" == found.findings[0].message


def test_what_is_within_the_tolerance_is_no_culprit() -> None:
    """Of two tensors that are off, the one that is off by more than clean runs are; by anything, if nobody says."""
    table = make_weights(damage=without(EXPERT_3))
    gate = next(gate for gate in load_gates().of(situation_of(READ)) if gate.metric == "weight_residual_max")
    row = table.name.tolist().index(ATTENTION[0])
    residual = table.residual_norm.copy()
    residual[row] = gate.bound * table.delta_norm[row] / 2
    observed = make_read(weights=replace(table, residual_norm=residual))
    assert [EXPERT_3] == [finding.where.tensor for finding in judged(observed).findings]
    checks = [check for check in judged(observed).checks if check.metric != "weight_residual_max"]
    assert {EXPERT_3, ATTENTION[0]} == {finding.where.tensor for finding in find(observed, checks)}


def lying(recovered: float, residual: float) -> str:
    """The kind of a delta of which this was recovered, and this is off."""
    table = make_weights()
    row = table.name.tolist().index(EXPERT_3)
    columns = {"recovered": recovered, "residual_norm": residual, "delta_norm": 1.0, "changed": True}
    for name, value in columns.items():
        column = getattr(table, name).copy()
        column[row] = value
        table = replace(table, **{name: column})
    (finding,) = judged(make_read(weights=table)).findings
    return finding.kind


@pytest.mark.parametrize(
    ("recovered", "residual", "kind"),
    [
        pytest.param(0.049, 0.951, "delta_missing", id="nearly nothing"),
        pytest.param(0.05, 0.95, "delta_wrong_scale", id="a twentieth"),
        pytest.param(-0.049, 1.049, "delta_missing", id="nearly nothing, negated"),
        pytest.param(-0.94, 1.94, "delta_wrong_scale", id="not quite negated"),
        pytest.param(-0.96, 1.96, "delta_wrong_sign", id="negated"),
        pytest.param(1.94, 0.94, "delta_wrong_scale", id="not quite twice"),
        pytest.param(1.96, 0.96, "delta_applied_twice", id="twice"),
        pytest.param(2.04, 1.04, "delta_applied_twice", id="a little more than twice"),
        pytest.param(2.06, 1.06, "delta_wrong_scale", id="more than twice"),
        pytest.param(1.5, 0.58, "delta_wrong_values", id="half more, and three tenths beside it"),
        pytest.param(1.5, 0.504, "delta_wrong_scale", id="half more, and little beside it"),
        pytest.param(1.04, 0.0566, "delta_wrong_values", id="as much beside as too much"),
        pytest.param(1.045, 0.0602, "delta_wrong_scale", id="less beside than too much"),
    ],
)
def test_a_delta_is_called_by_what_is_nearest(recovered: float, residual: float, kind: str) -> None:
    """Within a twentieth of nothing, of once less than nothing and of twice; beside it, no more than a twentieth."""
    assert kind == lying(recovered, residual)


GATE = Gate(
    metric="m", kinds=("read",), dtypes=("float32",), relation="at_most", bound=0.0123, num_clean=0, evidence=""
)
CHECK = Check(
    name="m", verdict="PASS", metric="m", value=0.01, tolerance=0.0123, relation="at_most", carries=True,
    message="0.01 things, expected at most 0.0123", num_compared=4,
)  # fmt: skip
MEASURED = Measured(metric="m", value=0.01, unit="things", num_compared=4)


@pytest.mark.parametrize(
    ("gate", "measurement", "expected"),
    [
        pytest.param(GATE, MEASURED, CHECK, id="passes"),
        pytest.param(
            replace(GATE, carries=False), replace(MEASURED, value=2 / 3),
            replace(CHECK, verdict="FAIL", value=2 / 3, carries=False,
                    message="0.667 things, expected at most 0.0123"),
            id="fails",
        ),
        pytest.param(
            replace(GATE, relation="at_least"), MEASURED,
            replace(CHECK, verdict="FAIL", relation="at_least", message="0.01 things, expected at least 0.0123"),
            id="at least",
        ),
        pytest.param(
            replace(GATE, relation="all"), replace(MEASURED, value=3.0),
            replace(CHECK, verdict="FAIL", value=3.0, tolerance=4.0, relation="equals",
                    message="3 things, expected all 4"),
            id="all",
        ),
        pytest.param(
            replace(GATE, relation="all"), replace(MEASURED, value=1234.0, num_compared=1234),
            replace(CHECK, value=1234.0, tolerance=1234.0, relation="equals",
                    message="1.23e+03 things, expected all 1234", num_compared=1234),
            id="all of many",
        ),
        pytest.param(
            replace(GATE, relation="at_least", power=True), MEASURED,
            replace(CHECK, verdict="INCONCLUSIVE", relation="at_least",
                    message="signal 0.01 is below 0.0123 things: a fault could not show"),
            id="no signal",
        ),
        pytest.param(
            GATE, Missing(metric="m", reason="it was not there"),
            replace(CHECK, verdict="INCONCLUSIVE", value=None, message="it was not there", num_compared=0),
            id="missing",
        ),
        pytest.param(
            replace(GATE, relation="all", carries=False), replace(MEASURED, num_compared=0),
            replace(CHECK, verdict="INCONCLUSIVE", relation="equals", carries=False, message="nothing was compared",
                    num_compared=0),
            id="of nothing",
        ),
    ],
)  # fmt: skip
def test_a_check_is_told_whole(gate: Gate, measurement: Measurement, expected: Check) -> None:
    """Verdict, value, tolerance, relation, whether it carries, words, and of how many."""
    table = GateTable(device="cpu", measured_on="", command="", versions={}, gates=(gate,))
    assert (expected,) == judge(READ, [measurement], table).checks
