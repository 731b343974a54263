"""What is wrong is named: kind, layer, expert and tensor, and one cause that two runs share."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from harness.judging.findings import stable_words
from harness.judging.gates import load_gates
from harness.judging.judge import judge
from harness.metrics import measure_all
from harness.metrics.inventory import owed_files
from harness.metrics.observed import Observed
from harness.records.jobs import Contradiction, Crash, FieldValue, LoadReport
from harness.records.results import Judgement, Location
from tests.observations import (
    DENSE,
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

PREFIX = "model.layers.1.mlp.experts."


def judged(observed: Observed) -> Judgement:
    """The judge's word under the real gates."""
    return judge(observed, measure_all(observed), load_gates())


def damaged(damage: Damage, dtype: str = "float32", **changes: object) -> Judgement:
    """What is said of a route with this damage to its weights."""
    case = make_case(dtype=dtype)
    return judged(make_read(case=case, weights=make_weights(case=case, damage=damage), **changes))


def multiplied(*names: str, factor: float) -> Damage:
    """The tensors' deltas times a factor."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in names:
            got[name] = base[name] + np.float32(factor) * deltas[name]

    return damage


def exchanged(got: Weights, base: Weights, deltas: Weights) -> None:
    """Each of two experts has the other's delta."""
    other = EXPERT_3.replace(".3.", ".4.")
    got[EXPERT_3], got[other] = base[EXPERT_3] + deltas[other], base[other] + deltas[EXPERT_3]


def removed(name: str) -> Damage:
    """The tensor is not there."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        del got[name]

    return damage


def turned(got: Weights, base: Weights, deltas: Weights) -> None:
    """The tensor has another shape."""
    got[EXPERT_3] = got[EXPERT_3].T


def spoiled(got: Weights, base: Weights, deltas: Weights) -> None:
    """The tensor holds an infinity."""
    got[EXPERT_3] = np.full((3, 2), np.inf, np.float32)


def nudged(got: Weights, base: Weights, deltas: Weights) -> None:
    """What is not adapted moved."""
    got[NORM] = base[NORM] + np.float32(0.5)


def added(got: Weights, base: Weights, deltas: Weights) -> None:
    """A tensor that has no place."""
    got["model.layers.1.ghost"] = np.zeros((3, 2), np.float32)


def with_router(got: Weights, base: Weights, deltas: Weights) -> None:
    """The router is trained too."""
    deltas[ROUTER] = np.ones((3, 2), np.float32)
    got[ROUTER] = base[ROUTER] + deltas[ROUTER]


HERE = Location(tensor=EXPERT_3, layer=1, expert=3)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("damage", "kind", "where", "subject"),
    [
        pytest.param(multiplied(EXPERT_3, factor=0), "delta_missing", HERE, " experts.gate", id="missing"),
        pytest.param(multiplied(EXPERT_3, factor=2), "delta_applied_twice", HERE, " experts.gate", id="twice"),
        pytest.param(multiplied(EXPERT_3, factor=-1), "delta_wrong_sign", HERE, " experts.gate", id="sign"),
        pytest.param(multiplied(EXPERT_3, factor=1.2), "delta_wrong_scale", HERE, " experts.gate", id="scale"),
        pytest.param(removed(EXPERT_3), "tensor_missing", HERE, " experts.gate", id="absent"),
        pytest.param(turned, "shape_mismatch", HERE, " experts.gate", id="shape"),
        pytest.param(spoiled, "non_finite", HERE, " experts.gate", id="not finite"),
        pytest.param(nudged, "passthrough_changed", Location(tensor=NORM), " norm", id="passthrough"),
        pytest.param(added, "tensor_unexpected", Location(tensor="model.layers.1.ghost"), " model.layers.*.ghost",
                     id="unexpected"),
    ],
)  # fmt: skip
def test_each_damage_has_its_name_and_place(
    damage: Damage, kind: str, where: Location, subject: str, dtype: str
) -> None:
    """The verdict is FAIL, the one finding says kind, tensor, layer and expert, and the cause says what they are."""
    found = damaged(damage, dtype)
    assert ("FAIL", kind + subject) == (found.verdict, found.cause)
    assert [(kind, where, 1)] == [(f.kind, f.where, f.num_alike) for f in found.findings]


def test_a_scale_of_a_twentieth_more_is_found_in_float32() -> None:
    """The nearest fault of the table: delta times 1.05, in one tensor, is called a scale."""
    found = damaged(multiplied(EXPERT_3, factor=1.05))
    assert ("FAIL", "delta_wrong_scale experts.gate") == (found.verdict, found.cause)
    assert "recovered 1.0500, residual 0.05" == found.findings[0].got
    assert "recovered 1.0000, residual 0" == found.findings[0].expected


def off_beside(size: float, along: float) -> Damage:
    """The delta of one tensor is `along` times itself, and `size` times itself in another direction."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        delta = deltas[EXPERT_3].astype(np.float64)
        beside = np.roll(delta, 1) - delta * (np.vdot(np.roll(delta, 1), delta) / np.vdot(delta, delta))
        beside *= np.linalg.norm(delta) / np.linalg.norm(beside)
        got[EXPERT_3] = (base[EXPERT_3] + along * delta + size * beside).astype(np.float32)

    return damage


@pytest.mark.parametrize(("size", "along"), [(3e-3, 1.0), (0.1, 0.001), (0.5, 0.02), (1.0, 1.0), (2.0, 0.0)])
def test_what_is_off_beside_the_delta_is_no_scale_and_not_missing(size: float, along: float) -> None:
    """Digits lost in another dtype, a delta of other factors: little or much of it, with the true one in it or not."""
    found = damaged(off_beside(size, along))
    assert ("FAIL", "delta_wrong_values experts.gate") == (found.verdict, found.cause)


@pytest.mark.parametrize(("along", "kind"), [(0.02, "delta_missing"), (0.5, "delta_wrong_scale")])
def test_a_little_off_beside_a_multiple_is_still_a_multiple(along: float, kind: str) -> None:
    """As the rounding of a merge leaves it."""
    assert f"{kind} experts.gate" == damaged(off_beside(2e-3, along)).cause


def test_logits_that_are_no_numbers_are_a_symptom_of_weights_that_are_none() -> None:
    """The tensor is the culprit, and the only one."""
    reloaded = make_outputs(np.full_like(make_logits(3), np.nan))
    found = damaged(spoiled, reloaded=reloaded)
    assert "non_finite experts.gate" == found.cause
    assert {"non_finite", "logits_not_finite"} <= {finding.kind for finding in found.findings}
    assert "logits_not_finite" in judged(make_read(reloaded=reloaded)).cause


def test_exchanged_experts_are_wrong_values_of_their_layer() -> None:
    """No scale explains them; both have one layer, and no expert is named where there are two."""
    (finding,) = damaged(exchanged).findings
    assert ("delta_wrong_values", 1, None, 2) == (
        finding.kind, finding.where.layer, finding.where.expert, finding.num_alike,
    )  # fmt: skip
    assert "(layers 1, experts 3, 4)" in finding.message


def test_a_whole_expert_is_named_for_its_layer_and_expert() -> None:
    """gate, up and down of one expert are three findings, each of the one layer and the one expert."""
    names = [f"{PREFIX}3.{part}_proj.weight" for part in ("gate", "up", "down")]
    found = damaged(multiplied(*names, factor=0))
    assert {("delta_missing", 1, 3)} == {(f.kind, f.where.layer, f.where.expert) for f in found.findings}
    assert set(names) == {f.where.tensor for f in found.findings}
    assert "delta_missing experts.down,experts.gate,experts.up" == found.cause


def test_a_whole_layer_has_its_layer_and_no_expert() -> None:
    """All experts of one layer: the layer is named, the expert is not, and the group is counted."""
    names = [f"{PREFIX}{expert}.gate_proj.weight" for expert in range(8)]
    (finding,) = damaged(multiplied(*names, factor=0)).findings
    assert (1, None, 8) == (finding.where.layer, finding.where.expert, finding.num_alike)
    assert "(layers 1, experts 0 to 7)" in finding.message


def test_everything_has_neither_layer_nor_expert() -> None:
    """Every adapted tensor: no single place is made up, and the roles are listed."""
    found = damaged(multiplied(*owed_names(make_read().family, make_case()), factor=0))
    assert {None} == {finding.where.layer for finding in found.findings}
    assert "delta_missing attention,experts.down,experts.gate,experts.up" == found.cause


@pytest.mark.parametrize("worst", [3, 5])
def test_a_group_is_named_for_its_worst_tensor(worst: int) -> None:
    """Of two with another scale, the one that is further off, be it the first or not."""
    names = [f"{PREFIX}{expert}.gate_proj.weight" for expert in (3, 5)]

    def both(got: Weights, base: Weights, deltas: Weights) -> None:
        for name in names:
            multiplied(name, factor=1.4 if f".{worst}." in name else 1.2)(got, base, deltas)

    (finding,) = damaged(both).findings
    assert (f"{PREFIX}{worst}.gate_proj.weight", 2) == (finding.where.tensor, finding.num_alike)


def test_a_misreading_that_the_cell_recognised_names_the_kind() -> None:
    """What the cell says a tensor was mistaken for stands for the tensor's kind; other tensors keep theirs."""
    other = EXPERT_3.replace(".3.", ".5.")

    def both(got: Weights, base: Weights, deltas: Weights) -> None:
        exchanged(got, base, deltas)
        multiplied(other, factor=0)(got, base, deltas)

    names = {EXPERT_3: "delta_wrong_packing", EXPERT_3.replace(".3.", ".4."): "delta_wrong_packing"}
    observed = answered(make_read(weights=make_weights(damage=both)), notes={"misread": names})
    assert "delta_missing experts.gate; delta_wrong_packing experts.gate" == judged(observed).cause


@pytest.mark.parametrize("name", ["model.embed_tokens.weight", "lm_head.weight"])
def test_a_tied_pair_that_changed_is_named_for_the_tie(name: str) -> None:
    """In a tied model a changed embedding or head is the tie's doing; in an untied one it is a changed tensor."""

    def damage(got: Weights, base: Weights, deltas: Weights) -> None:
        got[name] = base[name] + np.float32(1)

    tied = make_case(DENSE, config={"tie_word_embeddings": True})
    for case, kind in ((tied, "tied_weights_broken"), (make_case(DENSE), "passthrough_changed")):
        found = judged(make_read(DENSE, case=case, weights=make_weights(DENSE, case, damage)))
        assert [kind] == [finding.kind for finding in found.findings]


def test_lost_to_rounding_is_nobodys_fault() -> None:
    """A delta that bfloat16 cannot hold is no finding."""

    def lost(got: Weights, base: Weights, deltas: Weights) -> None:
        deltas[EXPERT_3] = np.float32(1e-6) * deltas[EXPERT_3]
        got[EXPERT_3] = base[EXPERT_3]

    assert "PASS" == damaged(lost, "bfloat16").verdict
    assert "FAIL" == damaged(lost, "float32").verdict


ROUTER = "model.layers.0.mlp.gate.weight"


def test_coverage_names_what_was_not_adapted() -> None:
    """One finding a role, with how many of how many, and the first tensor."""
    observed = make_write()
    adapted = tuple(name for name in observed.answer.adapted if ".experts." not in name)
    observed = replace(observed, weights=make_weights(damage=with_router))
    found = judged(answered(observed, adapted=(*adapted, ROUTER)))
    lost = "coverage_lost experts.down,experts.gate,experts.up"
    assert ("FAIL", f"coverage_extra router; {lost}") == (found.verdict, found.cause)
    first = next(finding for finding in found.findings if finding.kind == "coverage_lost")
    assert "16 of 16 tensors of experts.down are asked for and not adapted" == first.message
    assert (16, "model.layers.0.mlp.experts.0.down_proj.weight") == (first.num_alike, first.where.tensor)
    assert (None, None) == (first.where.layer, first.where.expert)


def test_coverage_and_keys_name_the_layer_and_the_expert_that_all_of_them_have() -> None:
    """One expert that was not adapted, one expert's keys that were not found."""
    observed = make_write()
    missed = [name for name in observed.answer.adapted if ".layers.1.mlp.experts.3." in name]
    adapted = tuple(name for name in observed.answer.adapted if name not in missed)
    found = judged(answered(observed, adapted=adapted)).findings
    assert {(1, 3)} == {(each.where.layer, each.where.expert) for each in found if each.kind == "coverage_lost"}
    found = judged(answered(make_read(), loading=LoadReport(missing=tuple(missed)))).findings
    assert {(1, 3)} == {(each.where.layer, each.where.expert) for each in found if each.kind == "keys_missing"}


def test_what_a_recipe_is_entitled_to_is_no_finding_either() -> None:
    """all-linear that misses the experts and takes the router is blamed for the experts alone."""
    case = make_case(adapter=replace(make_case().adapter, recipe="all_linear"))
    observed = make_write(case=case)
    adapted = tuple(name for name in observed.answer.adapted if ".experts." not in name)
    observed = replace(observed, weights=make_weights(damage=with_router))
    found = judged(answered(observed, adapted=(*adapted, ROUTER)))
    assert "coverage_lost experts.down,experts.gate,experts.up" == found.cause


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("merged/generation_config.json", "generation_config_missing"),
        ("merged/tokenizer.json", "tokenizer_changed"),
        ("merged/config.json", "file_missing"),
    ],
)
def test_missing_files_have_their_kind(path: str, kind: str) -> None:
    """A file that was not saved is named by path, and by what its loss means."""
    found = judged(make_write(files=tuple(name for name in owed_files(make_write()) if name != path)))
    assert ("FAIL", kind) == (found.verdict, found.cause)
    assert [path] == [finding.expected for finding in found.findings]


def test_changed_fields_are_named_with_both_values() -> None:
    """One finding a field."""
    fields = (FieldValue(name="rope_theta", expected="300.0", got="10000.0"),)
    found = judged(answered(make_read(), fields=fields))
    assert ("FAIL", "config_changed rope_theta") == (found.verdict, found.cause)
    assert [("300.0", "10000.0")] == [(finding.expected, finding.got) for finding in found.findings]


@pytest.mark.parametrize("kind", ["missing", "unexpected", "mismatched"])
def test_unplaced_keys_are_grouped_by_pattern(kind: str) -> None:
    """Keys that differ in numbers alone are one finding; the cause has no numbers."""
    keys = ("model.layers.0.mlp.experts.down", "model.layers.11.mlp.experts.down", "head")
    found = judged(answered(make_read(), loading=LoadReport(**{kind: keys})))
    assert ("FAIL", f"keys_{kind} head,model.layers.*.mlp.experts.down") == (found.verdict, found.cause)
    assert [1, 2] == sorted(finding.num_alike for finding in found.findings)


def test_symptoms_are_shown_and_left_out_of_a_cause_that_has_a_name() -> None:
    """Logits and samples that differ are findings; the cause is the missing delta, or they where there is no other."""
    reloaded = make_outputs(make_logits(3), tokens_SN=make_outputs(make_logits(3)).tokens_SN + 1)
    found = damaged(multiplied(EXPERT_3, factor=0), reloaded=reloaded)
    assert {"delta_missing", "logits_differ", "samples_differ"} == {finding.kind for finding in found.findings}
    assert "delta_missing experts.gate" == found.cause
    assert "logits_differ; samples_differ" == judged(make_read(reloaded=reloaded)).cause


def off_from(stage: str, factor: float) -> Observed:
    """A route whose stages are off by a factor from this one on, and its logits with them."""
    observed = make_read()
    assert observed.trained is not None
    names = list(observed.trained.stages)
    stages = {
        name: values * np.float32(factor if names.index(name) >= names.index(stage) else 1)
        for name, values in observed.trained.stages.items()
    }
    return replace(observed, reloaded=replace(observed.trained, stages=stages, logits_BTV=make_logits(3)))


def test_logits_that_differ_name_the_stage_where_it_begins() -> None:
    """Its layer, and how far off it is; the cause stays without it, for it is a place and no cause."""
    found = judged(off_from("layers.1", 1.5))
    finding = next(each for each in found.findings if each.kind == "logits_differ")
    assert Location(layer=1) == finding.where
    assert finding.expected.startswith("every stage within ")
    assert "layers.1 (relative difference 0.5)" == finding.got
    assert finding.message.endswith("; first at layers.1 (relative difference 0.5)")
    assert "logits_differ" == found.cause
    assert None is judged(off_from("embed_tokens", 1.5)).findings[0].where.layer


def test_logits_that_differ_behind_all_stages_name_none() -> None:
    """The head is no stage: nothing is made up."""
    finding = judged(off_from("layers.1", 1.0)).findings[0]
    assert ("logits_differ", Location(), "") == (finding.kind, finding.where, finding.got)


def test_a_stage_that_is_off_is_a_difference_by_itself() -> None:
    """Even where the logits of what is left to compare are the same."""
    observed = off_from("layers.0", 1.5)
    assert observed.trained is not None
    assert observed.reloaded is not None
    same = replace(observed, reloaded=replace(observed.reloaded, logits_BTV=observed.trained.logits_BTV))
    assert ("FAIL", "logits_differ") == (judged(same).verdict, judged(same).cause)


def test_stored_dtypes_are_named_by_role() -> None:
    """One finding a role, with what base has and what was stored."""
    observed = make_write()
    assert observed.weights is not None
    dtypes = observed.weights.stored_dtype.astype("<U8")
    rows = [row for row, name in enumerate(observed.weights.name) if PREFIX + "3." in str(name)]
    dtypes[rows] = "bfloat16"
    found = judged(replace(observed, weights=replace(observed.weights, stored_dtype=dtypes)))
    assert ("FAIL", "dtype_changed experts.down,experts.gate,experts.up") == (found.verdict, found.cause)
    assert [("float32", "bfloat16", 1, 1, 3)] * 3 == [
        (each.expected, each.got, each.num_alike, each.where.layer, each.where.expert) for each in found.findings
    ]


SHARD = "model-00001-of-00002.safetensors"


@pytest.mark.parametrize(
    ("contradictions", "expected"),
    [
        pytest.param(
            [Contradiction(kind="index_mismatch", message="another shard", tensor=EXPERT_3, file=SHARD)],
            [("index_mismatch", HERE, 1)],
            id="a tensor",
        ),
        pytest.param(
            [
                Contradiction(kind="index_mismatch", message="beside", file=name)
                for name in ("model.safetensors", SHARD)
            ],
            [("index_mismatch", Location(), 1)] * 2,
            id="files, each by itself",
        ),
        pytest.param(
            [
                Contradiction(kind="tensor_duplicated", message="twice", tensor=f"{PREFIX}{part}", file=SHARD)
                for part in ("down_proj", "gate_up_proj")
            ],
            [
                ("tensor_duplicated", Location(tensor=f"{PREFIX}{part}", layer=1), 1)
                for part in ("down_proj", "gate_up_proj")
            ],
            id="fused tensors have the layer of their parts",
        ),
        pytest.param(
            [
                Contradiction(kind="tensor_duplicated", message="twice", tensor=f"model.layers.{layer}.x", file=SHARD)
                for layer in range(2)
            ],
            [("tensor_duplicated", Location(tensor="model.layers.0.x"), 2)],
            id="alike",
        ),
    ],
)
def test_contradictions_of_what_was_saved_are_named(
    contradictions: list[Contradiction], expected: list[tuple[str, Location, int]]
) -> None:
    """By kind, tensor or file; it is a FAIL of the write and no crash of anybody."""
    found = judged(answered(make_write(), contradictions=tuple(contradictions)))
    assert "FAIL" == found.verdict
    assert expected == [(each.kind, each.where, each.num_alike) for each in found.findings]
    assert {each.file for each in contradictions} == {each.expected for each in found.findings}


def test_no_signal_is_named() -> None:
    """A run that learnt nothing says so."""
    observed = make_read()
    found = judged(replace(observed, base=observed.trained))
    assert "INCONCLUSIVE" == found.verdict
    assert found.cause.startswith("no_signal")


def test_what_was_not_measured_is_named() -> None:
    """A route without its outputs says what could not be compared."""
    found = judged(make_read(reloaded=None))
    assert ("INCONCLUSIVE", "not_measured") == (found.verdict, found.cause)
    assert any("these outputs were not observed" in finding.message for finding in found.findings)


def crashed(message: str) -> str:
    """The cause of a crash with this message."""
    crash = Crash(stage="load_adapter", exception="RuntimeError", message=message, traceback="")
    return judged(answered(make_read(), crash=crash)).cause


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cannot open /tmp/aa11/x.bin for reading", "cannot open /home/me/7/x.bin for reading"),
        ("tensor 'model.layers.0.q' has 3 dimensions", "tensor 'model.layers.11.q' has 4 dimensions"),
        ("no module <Linear at 0x7f01ab> here", "no module <Linear at 0x7ee2cd> here"),
        ("size mismatch for a.b: copying [3, 4]", "Error(s) in loading: size mismatch for c: [5, 6]"),
        ("modules {'a', 'b'} not found in the base model", "modules {'b', 'a'} not found in the base model"),
        ("first line\nsecond 1", "first line\nother 2"),
    ],
    ids=["path", "name", "address", "size mismatch", "set order", "second line"],
)  # fmt: skip
def test_the_same_crash_has_the_same_cause(one: str, other: str) -> None:
    """Paths, names, numbers, addresses and the order of sets are not part of it; and it is not empty."""
    assert crashed(one) == crashed(other)
    assert len(crashed(one).split()) > 3


def test_other_crashes_have_other_causes() -> None:
    """The words that name what happened are part of it."""
    assert crashed("cannot open the file") != crashed("cannot close the file")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        ("\n\n", ""),
        ("a size mismatch for x", "size mismatch"),
        ("shape mismatch: value tensor of shape [3]", "shape mismatch"),
        ("'x' is not a valid y", "is not valid"),
        ("one two three four five six seven eight nine ten", "one two three four five six seven eight"),
        ("\n  leading space", "leading space"),
        ("can't load 'abc' from disk", "cant load from disk"),
        ("Target modules {'q'} not found in the base model. Look there.", "not found in the base model"),
        ("CUDA Out of memory", "CUDA Out of memory"),
    ],
)
def test_stable_words(message: str, expected: str) -> None:
    """The first line's words, at most eight, without quoted names, brackets, numbers and paths."""
    assert expected == stable_words(message)


def test_causes_hold_no_numbers_and_do_not_depend_on_order() -> None:
    """Which layer and expert it was, and in which order things were found, is not part of a cause."""
    one = damaged(multiplied(EXPERT_3, factor=0))
    other = damaged(multiplied("model.layers.0.mlp.experts.7.gate_proj.weight", factor=0))
    assert one.cause == other.cause
    assert one.findings != other.findings
    keys = ("b.1.x", "a.2.y")
    causes = {judged(answered(make_read(), loading=LoadReport(missing=order))).cause for order in (keys, keys[::-1])}
    assert 1 == len(causes)
    assert None is re.search(r"\d", one.cause + causes.pop())


def test_a_pass_finds_nothing() -> None:
    """What is clean has neither findings nor a cause."""
    found = judged(make_read())
    assert ("PASS", "", ()) == (found.verdict, found.cause, found.findings)


def test_what_training_did_otherwise_is_named() -> None:
    """The first loss, steps, tensors without a delta, factors that began otherwise, keys and values that were kept."""
    clean = make_write()
    attention = owed_names(clean.family, clean.case)[0]

    def untrain(got: Weights, base: Weights, deltas: Weights) -> None:
        got[attention], deltas[attention] = base[attention], 0 * deltas[attention]

    first, *later = clean.answer.losses
    factor = "model.layers.1.mlp.experts.down_proj"
    causes = {
        "loss_wrong": answered(clean, losses=(first / 8, *later)),
        "steps_lost": answered(clean, losses=(first, *later[:5])),
        "delta_untrained attention": replace(clean, weights=make_weights(damage=untrain)),
        "initialisation_wrong model.layers.*.mlp.experts.down_proj": answered(
            clean, notes=clean.answer.notes | {"initial": {factor: [0.7, 1536.0], attention: [1.01, 192.0]}}
        ),
        "cache_kept": answered(clean, notes=clean.answer.notes | {"kept_in_training": [2, 6]}),
    }
    found = {cause: judged(observed) for cause, observed in causes.items()}
    assert dict.fromkeys(causes, "FAIL") == {cause: judgement.verdict for cause, judgement in found.items()}
    assert list(causes) == [judgement.cause for judgement in found.values()]
    assert attention == found["delta_untrained attention"].findings[0].where.tensor
    assert [1] == [each.num_alike for each in found["delta_untrained attention"].findings]


def test_what_a_model_does_beside_its_weights_is_named() -> None:
    """Decoding, evaluation and drawing, of a write as of a route."""
    outputs = make_outputs(make_logits(2))
    assert outputs.forced_SN is not None
    changes = {
        "decoding_differs": {"forced_SN": outputs.forced_SN + 1},
        "evaluation_random": {"unrepeated": np.asarray(1)},
        "samples_repeated": {"drawn_SN": np.zeros((4, 2), np.int64)},
    }
    for cause, change in changes.items():
        other = replace(outputs, **change)
        assert ("FAIL", cause) == (judged(make_read(reloaded=other)).verdict, judged(make_read(reloaded=other)).cause)
        assert cause == judged(make_write(trained=other)).cause


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("generation_config.temperature", "generation_config_changed"),
        ("tokenizer", "tokenizer_changed"),
        ("rotary_frequencies", "config_changed"),
    ],
)
def test_what_lies_beside_the_weights_has_kinds_of_its_own(name: str, kind: str) -> None:
    """By the field's name."""
    field = FieldValue(name=name, expected="0.7", got="1.0")
    found = judged(answered(make_read(), fields=(field,)))
    assert f"{kind} {name}" == found.cause
    assert (name, "0.7", "1.0") == (found.findings[0].where.tensor, found.findings[0].expected, found.findings[0].got)
