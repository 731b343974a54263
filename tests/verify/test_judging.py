"""From what was seen to what is said: each finding whole, what became of each weight, and the counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.verify.crew import Crew
from harness.verify.diagnosis import Diagnosis
from harness.verify.evidence import Evidence, Pairing
from harness.verify.factors import Reading
from harness.verify.judging import Judgement, judge
from harness.verify.places import Site
from harness.verify.records import Finding, WholeTensor
from harness.verify.report import (
    ExpertCounts,
    LayoutSeen,
    PassthroughCounts,
    SiteSeen,
    State,
    TensorCounts,
    Verdict,
)
from harness.verify.survey import SiteEvidence, Survey
from harness.verify.work import BiasJob, HeldJob
from tests.verify.layouts import pair
from tests.verify.seen import (
    CONFIG,
    EXPERT,
    FUSED,
    IN_FUSED,
    NAME,
    OF_EXPERT,
    ONE,
    SHAPE,
    WRONG,
    answering,
    entry,
    evidence,
    in_memory,
    job,
    pairing,
    place,
    seen,
)

OTHER = pairing("model.norm.weight", layer=None)
HEAD = pairing("lm_head.weight", layer=None)
BIAS = pairing("model.layers.1.self_attn.q_proj.bias")
GOOD = evidence()
BASES = evidence(num_wrong=30, num_inexact=30, num_same=30, num_wrong_and_base=30, delta_times_change=0.0)
CAUSE = Diagnosis(kind="delta_wrong_scale", message="the delta is scaled wrongly", expected="1 times", got="2 times")
PLAIN = LayoutSeen(fused=None, packing=None, ambiguous=False)


def judged(
    *sites: SiteEvidence,
    held: Sequence[tuple[HeldJob, Evidence | None]] = (),
    biases: Sequence[tuple[BiasJob, Evidence | None]] = (),
    unchanged: Sequence[tuple[Pairing, Evidence]] = (),
    doubles: Sequence[Pairing] = (),
    structure: Sequence[Finding] = (),
    untold: Collection[str] = (),
    lacking: Collection[str] = (),
    told: Sequence[object] = (),
) -> Judgement:
    """What is said where tasks (diagnoses first, then comparisons of what is stored twice) give `told`."""
    survey = Survey(sites=sites, held=tuple(held), biases=tuple(biases), unchanged=tuple(unchanged))
    return judge(survey, doubles, structure, untold, lacking, CONFIG, answering(*told))


def error(kind: str, message: str, tensor: str = NAME, layer: int | None = 1, **more: Any) -> Finding:
    """A finding that counts."""
    made = Finding(kind=kind, severity="error", message=message, tensor=tensor, layer=layer)
    return replace(made, **more)


def test_a_merge_that_is_right() -> None:
    """CONTAINS, without a finding; weights, experts and the rest are counted."""
    found = judged(
        seen(), seen(OF_EXPERT), unchanged=[(OTHER, evidence(num_visible=0)), (HEAD, evidence(num_visible=0))]
    )
    assert (Verdict.CONTAINS, ()) == (found.verdict, found.findings)
    assert TensorCounts(targeted=2, matched=2, unchanged=0, wrong=0) == found.tensors
    assert ExpertCounts(attempted=1, applied=1, fallback=0) == found.experts
    assert PassthroughCounts(compared=2, identical=2) == found.passthrough
    assert LayoutSeen(fused="per_expert", packing=None, ambiguous=False) == found.layout
    assert (
        SiteSeen(name=NAME, layer=1, expert=None, part=None, state="applied", recovered=1.0, residual=0.0,
                 num_elements=30, num_wrong=0),
        SiteSeen(name=EXPERT, layer=1, expert=3, part="gate", state="applied", recovered=1.0, residual=0.0,
                 num_elements=30, num_wrong=0),
    ) == found.sites  # fmt: skip


@pytest.mark.parametrize(
    ("site", "told", "state"),
    [
        pytest.param(seen(), (), "applied", id="as predicted"),
        pytest.param(seen(found=evidence(num_visible=0)), (), "lost", id="as predicted, which is base"),
        pytest.param(seen(is_zero=True), (), "zero", id="no delta"),
        pytest.param(replace(seen(), evidence=None, pairing=None), (), "untold", id="not compared"),
        pytest.param(seen(found=evidence(**WRONG)), (replace(CAUSE, is_right=True),), "applied", id="less exact"),
        pytest.param(seen(found=evidence(**WRONG)), (CAUSE,), "wrong", id="scaled"),
        pytest.param(seen(found=BASES), (replace(CAUSE, kind="delta_missing"),), "missing", id="missing"),
        pytest.param(
            seen(found=evidence(**WRONG)), (replace(CAUSE, kind="delta_missing", is_whole=False),), "wrong",
            id="missing in part",
        ),
        pytest.param(seen(found=evidence(num_compared=29)), (CAUSE,), "wrong", id="given up"),
    ],
)  # fmt: skip
def test_what_became_of_a_weight(site: SiteEvidence, told: Sequence[Diagnosis], state: State) -> None:
    """By its evidence, and by what a diagnosis says of one that is wrong."""
    found = judged(site, told=told)
    (became,) = found.sites
    assert state == became.state
    compared = site.evidence
    if compared is None or site.is_zero:
        assert (None, None) == (became.recovered, became.residual)
    else:
        assert (compared.recovered, compared.residual) == (became.recovered, became.residual)
    numbers = (0, 0) if compared is None else (30, compared.num_wrong)
    assert numbers == (became.num_elements, became.num_wrong)
    assert len(told) == sum(finding.kind in (CAUSE.kind, "delta_missing") for finding in found.findings)


def test_a_weight_that_is_wrong_is_told_with_its_cause() -> None:
    """The stored tensor, its layer and expert; the part is said where one tensor holds several."""
    wrong = evidence(**WRONG)
    sites = seen(found=wrong), seen(), seen(OF_EXPERT, wrong), seen(IN_FUSED, wrong)
    more = {"expected": "1 times", "got": "2 times"}
    found = judged(*sites, told=(CAUSE, CAUSE, replace(CAUSE, is_right=True)))
    assert (
        error(CAUSE.kind, CAUSE.message, **more),
        error(CAUSE.kind, CAUSE.message, EXPERT, expert=3, **more),
        error(CAUSE.kind, f"gate: {CAUSE.message}", FUSED, expert=3, severity="warning", **more),
    ) == found.findings
    assert ["wrong", "applied", "wrong", "applied"] == [site.state for site in found.sites]
    assert Verdict.WRONG_VALUES == found.verdict


def test_weights_of_one_pair_of_factors_are_diagnosed_together() -> None:
    """Then its factors are forgotten; each diagnosis comes to its own weight."""
    first, second = job(ONE), job(OF_EXPERT)
    wrong = evidence(**WRONG)
    sites = [
        seen(found=wrong, job=first), seen(OF_EXPERT, wrong, job=second), seen(found=wrong, job=first),
        seen(OF_EXPERT, job=second),
    ]  # fmt: skip
    first.factors._held["a"] = second.factors._held["a"] = np.zeros(1)
    causes = [replace(CAUSE, message=text) for text in ("first", "again", "second")]
    found = judged(*sites, told=causes)
    assert [("first", NAME), ("second", EXPERT), ("again", NAME)] == [(f.message, f.tensor) for f in found.findings]
    assert ({}, {}) == (first.factors._held, second.factors._held)


HELD = WholeTensor(name=f"adapter.{NAME}", entry=entry(), why="modules_to_save")
TRAINED_BIAS = WholeTensor(name="adapter.bias", entry=entry(), why="bias")
OF_ONE = HeldJob(tensor=HELD, site=ONE.site, base=ONE.base, merged=ONE.merged)
VALUES = {"expected": "0.3333333", "got": "0.6666667"}


@pytest.mark.parametrize(
    ("held", "found", "state", "expected"),
    [
        pytest.param(OF_ONE, GOOD, "applied", None, id="there"),
        pytest.param(OF_ONE, evidence(num_visible=0), "zero", None, id="there, and base's"),
        pytest.param(
            OF_ONE, BASES, "missing",
            error("modules_to_save_lost", "is base's: a weight that was trained in full; 30 of 30 elements"),
            id="base's",
        ),
        pytest.param(
            replace(OF_ONE, tensor=TRAINED_BIAS), BASES, "missing",
            error("delta_missing", "is base's: a trained bias; 30 of 30 elements"), id="a bias that is base's",
        ),
        pytest.param(
            OF_ONE, evidence(**WRONG), "wrong",
            error("delta_wrong_values", "is not what the adapter holds: a weight that was trained in full; "
                  "2 of 30 elements, most at [2, 3]", **VALUES),
            id="something else",
        ),
        pytest.param(
            OF_ONE, evidence(**WRONG, num_wrong_and_base=2), "wrong",
            error("modules_to_save_lost", "is base's: a weight that was trained in full; "
                  "2 of 30 elements, most at [2, 3]", **VALUES),
            id="base's in part",
        ),
        pytest.param(
            OF_ONE, evidence(**WRONG, num_non_finite=1), "wrong",
            error("non_finite", "is not what the adapter holds: a weight that was trained in full; "
                  "2 of 30 elements, most at [2, 3]", **VALUES),
            id="no numbers",
        ),
        pytest.param(
            replace(OF_ONE, merged=None), None, "untold",
            error("modules_to_save_lost", f"merged has no {NAME}, a weight that was trained in full",
                  f"adapter.{NAME}"),
            id="not there",
        ),
        pytest.param(
            replace(OF_ONE, tensor=TRAINED_BIAS, merged=None), None, "untold",
            error("delta_missing", f"merged has no {NAME}, a trained bias", "adapter.bias", layer=None),
            id="a bias that is not there",
        ),
        pytest.param(
            replace(OF_ONE, merged=place(ONE.site, shape=(5, 6))), None, "untold",
            error("shape_mismatch", "is stored in a shape or dtype in which a weight that was trained in full cannot "
                  "be told", expected="F32 (6, 5)", got="F32 (5, 6)"),
            id="another shape",
        ),
        pytest.param(
            replace(OF_ONE, merged=place(ONE.site, dtype="I8")), None, "untold",
            error("quantised_weights", "is stored in a shape or dtype in which a weight that was trained in full "
                  "cannot be told", expected="F32 (6, 5)", got="I8 (6, 5)"),
            id="another dtype",
        ),
    ],
)  # fmt: skip
def test_a_weight_that_the_adapter_holds_in_full(
    held: HeldJob, found: Evidence | None, state: State, expected: Finding | None
) -> None:
    """Told by how it differs: base's in all or in part, something else, no numbers, not comparable, or not there."""
    said = judged(seen(), held=[(held, found)])
    assert ([] if expected is None else [expected]) == [each for each in said.findings if each.severity == "error"]
    numbers = (0, 0) if found is None else (30, found.num_wrong)
    assert SiteSeen(
        name=NAME, layer=1, expert=None, part=None, state=state, recovered=None, residual=None,
        num_elements=numbers[0], num_wrong=numbers[1],
    ) == said.sites[1]  # fmt: skip
    assert 2 == said.tensors.targeted


def test_a_held_weight_of_an_expert_is_counted_with_the_experts() -> None:
    """With its expert and part."""
    (site,) = judged(held=[(replace(OF_ONE, site=OF_EXPERT.site, merged=OF_EXPERT.merged), GOOD)]).sites
    assert (EXPERT, 1, 3, "gate") == (site.name, site.layer, site.expert, site.part)


FACTORS = pair("model.layers.1.self_attn.q_proj", (2, 5), (6, 2))


@pytest.mark.parametrize(
    ("compared", "found", "state", "expected"),
    [
        pytest.param(BIAS, GOOD, "applied", None, id="there"),
        pytest.param(BIAS, evidence(num_visible=0), "lost", None, id="rounded away"),
        pytest.param(BIAS, BASES, "missing",
                     error("delta_missing", "is base's: what lora_bias adds is not in it", BIAS.site.name),
                     id="base's"),
        pytest.param(BIAS, evidence(**WRONG), "wrong",
                     error("delta_wrong_values", "is not base's plus what lora_bias adds", BIAS.site.name, **VALUES),
                     id="something else"),
        pytest.param(None, None, "untold", None, id="not compared"),
        pytest.param(None, GOOD, "untold", None, id="no place"),
        pytest.param(BIAS, None, "untold", None, id="no evidence"),
    ],
)  # fmt: skip
def test_a_bias_that_lora_bias_adds_to(
    compared: Pairing | None, found: Evidence | None, state: State, expected: Finding | None
) -> None:
    """Base's, something else, or right."""
    said = judged(seen(), biases=[(BiasJob(pair=FACTORS, pairing=compared, site=BIAS.site), found)])
    assert (() if expected is None else (expected,)) == said.findings
    numbers = (0, 0) if found is None or compared is None else (30, found.num_wrong)
    assert (BIAS.site.name, state, *numbers) == (
        said.sites[1].name, said.sites[1].state, said.sites[1].num_elements, said.sites[1].num_wrong,
    )  # fmt: skip


HEADLESS = Pairing(HEAD.site, HEAD.base, place(HEAD.site, "model.embed_tokens.weight"))


@pytest.mark.parametrize(
    ("weight", "found", "expected"),
    [
        pytest.param(OTHER, evidence(**WRONG),
                     error("passthrough_changed", "is not adapted, and changed: 2 of 30 elements, most at [2, 3]",
                           OTHER.site.name, None, **VALUES), id="changed"),
        pytest.param(OTHER, evidence(num_wrong=1, num_non_finite=1),
                     error("non_finite", "is not adapted, and holds 1 numbers that are not finite", OTHER.site.name,
                           None), id="no numbers"),
        pytest.param(HEADLESS, evidence(**WRONG),
                     error("passthrough_changed", "is the head too, which is not adapted and changed with it: 2 of 30 "
                           "elements, most at [2, 3]", "model.embed_tokens.weight", None, **VALUES), id="a tied head"),
        pytest.param(HEAD, evidence(**WRONG),
                     error("passthrough_changed", "is not adapted, and changed: 2 of 30 elements, most at [2, 3]",
                           HEAD.site.name, None, **VALUES), id="a head of its own"),
        pytest.param(pairing("odd.weight", layer=None), evidence(**WRONG),
                     Finding(kind="family_unknown", severity="warning", tensor="odd.weight",
                             message="changed, and may be what factors without a known place are for"), id="untold"),
        pytest.param(pairing("odd.weight", layer=None), evidence(num_wrong=1, num_non_finite=1),
                     error("non_finite", "is not adapted, and holds 1 numbers that are not finite", "odd.weight", None),
                     id="untold, and no numbers"),
        pytest.param(pairing("lacking.weight", layer=None), evidence(**WRONG),
                     error("passthrough_changed", "changed, and the adapter lacks the factors that its configuration "
                           "means: 2 of 30 elements, most at [2, 3]", "lacking.weight", None, **VALUES), id="lacking"),
        pytest.param(pairing("lacking.weight", layer=None), evidence(num_wrong=1, num_non_finite=1),
                     error("non_finite", "is not adapted, and holds 1 numbers that are not finite", "lacking.weight",
                           None), id="lacking, and no numbers"),
        pytest.param(pairing(NAME, stored="h.1.attn.q.weight"), evidence(**WRONG),
                     error("passthrough_changed", "is not adapted, and changed: 2 of 30 elements, most at [2, 3]",
                           "h.1.attn.q.weight", 1, **VALUES), id="a layer that its tensor's name does not tell"),
        pytest.param(OTHER, GOOD, None, id="as it was"),
    ],
)  # fmt: skip
def test_what_is_not_adapted_must_be_bases(weight: Pairing, found: Evidence, expected: Finding | None) -> None:
    """What changed is named, with the worst element; where it may have been adapted, nothing is known."""
    said = judged(seen(), unchanged=[(OTHER, GOOD), (weight, found), (ONE, GOOD)], untold={"odd.weight"},
                  lacking={"lacking.weight"})  # fmt: skip
    assert (() if expected is None else (expected,)) == said.findings
    assert PassthroughCounts(compared=3, identical=3 if expected is None else 2) == said.passthrough


def test_all_that_changed_is_told() -> None:
    """Whatever came before it."""
    odd, wrong = pairing("odd.weight", layer=None), evidence(**WRONG)
    unchanged = [(odd, wrong), (OTHER, GOOD), (OTHER, wrong), (odd, wrong), (HEAD, wrong)]
    said = judged(seen(), unchanged=unchanged, untold={"odd.weight"})
    assert [OTHER.site.name, HEAD.site.name, "odd.weight", "odd.weight"] == [each.tensor for each in said.findings]


def test_what_is_stored_twice_is_compared_bit_for_bit() -> None:
    """By the threads that compare everything."""
    values = np.arange(30, dtype=np.float32).reshape(SHAPE)
    entries, files = in_memory({"first": values, "alike": values, "other": values + (values == 7)})
    survey = Survey(sites=(seen(),), held=(), biases=(), unchanged=())
    doubles = [Pairing(ONE.site, *(ONE.base._replace(entry=entries[name]) for name in ("first", name)))
               for name in ("alike", "other")]  # fmt: skip
    with Crew(files, 1) as crew:
        told = judge(survey, doubles, (), (), (), CONFIG, crew).findings
    assert [("other", "error"), ("alike", "warning")] == [(each.tensor, each.severity) for each in told]


SMALL, LARGE = place(ONE.site, "small"), place(ONE.site, "large", shape=(6, 6))


@pytest.mark.parametrize("base_is_larger", [False, True])
@pytest.mark.parametrize(
    ("found", "severity", "alike"),
    [(GOOD, "warning", "with the same values"), (evidence(**WRONG), "error", "with different values in 1")],
    ids=["alike", "different"],
)
def test_what_is_stored_twice(found: Evidence, severity: Any, alike: str, base_is_larger: bool) -> None:
    """Twice the same is a waste, two values are an error; told of the larger, whichever it is."""
    double = Pairing(ONE.site, *((LARGE, SMALL) if base_is_larger else (SMALL, LARGE)))
    said = judged(seen(), doubles=[double], told=[found])
    assert (
        Finding(kind="tensor_duplicated", severity=severity, tensor="large", layer=1,
                message=f"holds what is stored as small too, {alike}"),
    ) == said.findings  # fmt: skip


def test_of_two_that_are_alike_in_size_the_later_is_told() -> None:
    """Which is merged's place of the pair."""
    double = Pairing(ONE.site, place(ONE.site, "first"), place(ONE.site, "second"))
    (found,) = judged(seen(), doubles=[double], told=[GOOD]).findings
    assert ("second", "holds what is stored as first too, with the same values") == (found.tensor, found.message)


@pytest.mark.parametrize(
    ("told", "severity", "alike"),
    [
        pytest.param((GOOD, GOOD, GOOD), "warning", "with the same values", id="alike"),
        pytest.param((GOOD, evidence(**WRONG), evidence(**WRONG)), "error", "with different values in 2",
                     id="different"),
    ],
)  # fmt: skip
def test_a_tensor_of_all_experts_that_are_stored_apart_too_is_told_once(
    told: Sequence[Evidence], severity: Any, alike: str
) -> None:
    """With the first of the others and their number; of no expert, unless it is of one."""
    sites = [Site(f"model.layers.1.mlp.experts.{number}.down.weight", 1, number, "down") for number in range(3)]
    fused = [Pairing(site, place(site), place(site, FUSED)) for site in sites]
    fused = [each._replace(merged=each.merged._replace(entry=entry(FUSED, (3, *SHAPE)))) for each in fused]
    found = judged(seen(), doubles=fused, told=told).findings
    others = "model.layers.1.mlp.experts.0.down.weight and 2 others"
    message = f"holds what is stored as {others} too, {alike}"
    assert (Finding(kind="tensor_duplicated", severity=severity, tensor=FUSED, layer=1, message=message),) == found
    (of_two,) = judged(seen(), doubles=fused[1:], told=told[1:]).findings
    assert "holds what is stored as model.layers.1.mlp.experts.1.down.weight and 1 other too" in of_two.message
    (of_one,) = judged(seen(), doubles=fused[1:2], told=told[:1]).findings
    assert (1, 1) == (of_one.layer, of_one.expert)
    assert "holds what is stored as model.layers.1.mlp.experts.1.down.weight too, with" in of_one.message


@pytest.mark.parametrize(
    ("tensor", "layer", "expert", "expected"),
    [
        pytest.param("model.layers.12.mlp.experts.7.w1.weight", None, None, (12, 7), id="both"),
        pytest.param("model.layers.12.mlp.weight", None, None, (12, None), id="a layer"),
        pytest.param("model.layers.12", None, None, (12, None), id="a layer at the end"),
        pytest.param("model.norm.weight", None, None, (None, None), id="neither"),
        pytest.param("model.layers.x.experts.3.w", None, None, (None, 3), id="an expert alone"),
        pytest.param("model.layers.1234567890.w", None, None, (None, None), id="no number of a layer"),
        pytest.param("model.layers.12.mlp.experts.7.w1.weight", 3, None, (3, None), id="what is said stands"),
        pytest.param("model.layers.12.mlp.experts.7.w1.weight", None, 5, (12, 5), id="so does an expert"),
        pytest.param("", None, None, (None, None), id="no tensor"),
    ],
)
def test_findings_of_others_get_layer_and_expert_from_their_tensor(
    tensor: str, layer: int | None, expert: int | None, expected: tuple[int | None, int | None]
) -> None:
    """Where its name has them, and they are not said."""
    before = Finding(
        kind="tensor_missing", severity="error", message="is not there", tensor=tensor, layer=layer, expert=expert
    )
    assert (replace(before, layer=expected[0], expert=expected[1]),) == judged(seen(), structure=[before]).findings


def test_all_that_is_found_is_said_gravest_first() -> None:
    """What was found before a value was read, and what is said of the adapter as a whole, are among it."""
    structure = [Finding(kind="config_mismatch", severity="error", message="rope_theta")]
    site = seen(found=evidence(delta_times_change=1.0), job=job(ONE, readings=(Reading(), Reading("swapped"))))
    zero = seen(OF_EXPERT, is_zero=True)
    said = judged(site, zero, structure=structure, unchanged=[(OTHER, evidence(**WRONG))])
    assert ["passthrough_changed", "lost_to_rounding", "config_mismatch", "ambiguous_layout", "b_all_zero"] == [
        finding.kind for finding in said.findings
    ]
    assert Verdict.WRONG_VALUES == said.verdict


def test_a_tensor_that_is_missing_counts_as_adapted_by_any_of_its_names() -> None:
    """The weight's, the one that it is stored under, and those of what the adapter holds."""
    gone = replace(seen(), pairing=None, evidence=None)
    fused, held = seen(IN_FUSED), replace(OF_ONE, site=Site("held.weight", None, None, None))

    def verdict(tensor: str) -> Verdict:
        missing = Finding(kind="tensor_missing", severity="error", message="", tensor=tensor)
        return judged(gone, fused, held=[(held, GOOD)], structure=[missing]).verdict

    adapted = (NAME, f"base.{NAME}", EXPERT, FUSED, "held.weight")
    assert {Verdict.PARTIAL} == {verdict(tensor) for tensor in adapted}
    assert Verdict.INCOMPLETE == verdict("model.norm.weight")


SWAPPED = Reading("swapped", "grouped_by_expert")


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        pytest.param([seen()], PLAIN, id="no experts"),
        pytest.param([], PLAIN, id="nothing"),
        pytest.param([seen(), seen(OF_EXPERT), seen()], replace(PLAIN, fused="per_expert"), id="an expert a pair"),
        pytest.param(
            [seen(), seen(OF_EXPERT), seen(IN_FUSED, job=job(IN_FUSED, num_experts=4), reading=SWAPPED)],
            LayoutSeen(fused="swapped", packing="grouped_by_expert", ambiguous=False), id="fused",
        ),
        pytest.param(
            [seen(IN_FUSED, job=job(IN_FUSED, num_experts=4, readings=(Reading(), SWAPPED)), reading=SWAPPED)],
            LayoutSeen(fused="swapped", packing="grouped_by_expert", ambiguous=True), id="fused, and open",
        ),
    ],
)  # fmt: skip
def test_the_layout_is_that_of_the_fused_factors(sites: Sequence[SiteEvidence], expected: LayoutSeen) -> None:
    """As they were read; without any, whether experts have factors of their own."""
    assert expected == judged(*sites).layout
