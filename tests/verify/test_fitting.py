"""An adapter without a merged checkpoint: what it touches, what of it is nothing, and what cannot be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.verify.families import Part
from harness.verify.fitting import judge_adapter
from harness.verify.judging import Judgement
from harness.verify.places import Site
from harness.verify.records import Adapter, FactorPair, Finding, WholeTensor
from harness.verify.report import ExpertCounts, LayoutSeen, PassthroughCounts, SiteSeen, TensorCounts, Verdict
from harness.verify.targets import Target
from harness.verify.work import Claims
from tests.verify.layouts import pair
from tests.verify.seen import CONFIG, EXPERT, NAME, entry, in_memory

R, E = 2, 3
LINEAR = Target(parameter=NAME, sites=(NAME,), shape=(6, 5), orientation="out_in")
APART = replace(LINEAR, parameter=EXPERT, sites=(EXPERT,))
PARTS: tuple[Part, ...] = ("gate", "up")
FUSED_SITES = tuple(f"experts.{expert}.{part}" for expert in range(E) for part in PARTS)


def fused(columns: int = 5) -> Target:
    """Gate and up of three experts in one parameter; square, if there are six columns."""
    return Target(
        parameter="gate_up", sites=FUSED_SITES, shape=(6, columns), orientation="out_in", num_experts=E, parts=PARTS,
        rows=(slice(0, 3, 1), slice(3, 6, 1)),
    )  # fmt: skip


SITES = {
    NAME: Site(NAME, 1, None, None),
    EXPERT: Site(EXPERT, 1, 3, "gate"),
    **{name: Site(name, 2, number // 2, PARTS[number % 2]) for number, name in enumerate(FUSED_SITES)},
}
OK = LayoutSeen(fused=None, packing=None, ambiguous=False)


def judged(
    *targets: Target,
    a: Mapping[int, np.ndarray] | None = None,
    held: bool = False,
    structure: tuple[Finding, ...] = (),
    version: str = "",
) -> Judgement:
    """What is said of factors of ones for these targets; `a` are other values of lora_A, by the target's number."""
    values: dict[str, np.ndarray] = {}
    jobs: list[tuple[FactorPair, Target]] = []
    for number, target in enumerate(targets):
        rows, columns = target.shape
        rank = R * (target.num_experts or 1)
        values[f"A{number}"] = (a or {}).get(number, np.ones((rank, columns)))
        values[f"B{number}"] = np.ones((rows, rank))
    entries, files = in_memory(values)
    for number, target in enumerate(targets):
        of = pair("model.layers.1", target.shape, target.shape)
        jobs.append((replace(of, a=entries[f"A{number}"], b=entries[f"B{number}"], rank=R), target))
    whole = {"lm_head.weight": WholeTensor(name="lm_head.weight", entry=entry(), why="modules_to_save")}
    claims = Claims(
        jobs=tuple(jobs), held=whole if held else {}, biases={}, sites=SITES, skipped=frozenset(), lacking=frozenset(),
        findings=(),
    )  # fmt: skip
    config = replace(CONFIG, peft_version=version)
    adapter = Adapter(directory=Path(), config=config, pairs=(), whole=(), unread=(), findings=())
    return judge_adapter(adapter, claims, structure, files)


def test_an_adapter_that_fits() -> None:
    """Its weights are untold, for nothing is merged; they are counted, and those of experts."""
    found = judged(LINEAR, fused(), held=True)
    assert (Verdict.FITS, ()) == (found.verdict, found.findings)
    assert TensorCounts(targeted=8, matched=0, unchanged=0, wrong=0) == found.tensors
    assert ExpertCounts(attempted=6, applied=0, fallback=0) == found.experts
    assert PassthroughCounts(compared=0, identical=0) == found.passthrough
    assert LayoutSeen(fused="standard", packing="rank_major", ambiguous=False) == found.layout
    assert [NAME, *FUSED_SITES] == [site.name for site in found.sites]
    assert SiteSeen(
        name=NAME, layer=1, expert=None, part=None, state="untold", recovered=None, residual=None, num_elements=30,
        num_wrong=0,
    ) == found.sites[0]  # fmt: skip
    assert SiteSeen(
        name="experts.1.up", layer=2, expert=1, part="up", state="untold", recovered=None, residual=None,
        num_elements=15, num_wrong=0,
    ) == found.sites[4]  # fmt: skip


def test_factors_that_are_no_numbers() -> None:
    """Said once a pair; their weights are wrong, and a zero is a zero."""
    spoilt = np.ones((R * E, 5))
    spoilt[2:4, 0] = np.nan  # the second expert's
    found = judged(fused(), LINEAR, a={0: spoilt})
    text = "the factors hold numbers that are not finite"
    assert (Finding(kind="non_finite", severity="error", message=text, tensor="A0"),) == found.findings
    assert ["untold", "untold", "wrong", "wrong", "untold", "untold", "untold"] == [site.state for site in found.sites]
    assert Verdict.WRONG_VALUES == found.verdict


@pytest.mark.parametrize("held", [False, True])
def test_factors_that_are_zero(held: bool) -> None:
    """All of them prove nothing, unless the adapter holds something else; some of them are a note."""
    zeros = np.zeros((R, 5))
    nothing = judged(LINEAR, a={0: zeros}, held=held)
    assert ["zero"] == [site.state for site in nothing.sites]
    assert (Verdict.FITS if held else Verdict.INCONCLUSIVE) == nothing.verdict
    assert ([] if held else ["b_all_zero"]) == [finding.kind for finding in nothing.findings]
    some = judged(LINEAR, APART, a={0: zeros}, held=held)
    assert Verdict.FITS == some.verdict
    assert ([] if held else [("b_all_zero", "note")]) == [(each.kind, each.severity) for each in some.findings]
    assert ExpertCounts(attempted=1, applied=0, fallback=0) == some.experts


@pytest.mark.parametrize(
    ("targets", "version", "expected"),
    [
        pytest.param([LINEAR], "", OK, id="no experts"),
        pytest.param([LINEAR, APART], "", replace(OK, fused="per_expert"), id="an expert a pair"),
        pytest.param([APART, LINEAR], "", replace(OK, fused="per_expert"), id="in any order"),
        pytest.param([fused(), LINEAR], "", replace(OK, fused="standard", packing="rank_major"), id="fused"),
        pytest.param([fused(6)], "0.18.0", replace(OK, fused="swapped", packing="rank_major"), id="by version"),
        pytest.param(
            [fused(6), APART], "", LayoutSeen(fused="standard", packing="rank_major", ambiguous=True), id="open"
        ),
    ],
)
def test_the_layout_is_what_the_factors_leave(targets: list[Target], version: str, expected: LayoutSeen) -> None:
    """Of fused experts by shapes and version; what is open is said, and decides."""
    found = judged(*targets, version=version)
    assert expected == found.layout
    assert (Verdict.INCONCLUSIVE if expected.ambiguous else Verdict.FITS) == found.verdict


def test_what_is_open_is_said_with_its_place() -> None:
    """The factors, their layer, and that nothing is merged that could tell."""
    (found,) = judged(fused(6)).findings
    assert ("ambiguous_layout", "A0", 2, "nothing is merged") == (found.kind, found.tensor, found.layer, found.got)


def test_what_is_open_is_said_of_a_single_weight_too() -> None:
    """One expert with one part, whose matrix is square."""
    alone = Target(
        parameter="down", sites=(EXPERT,), shape=(6, 6), orientation="out_in", num_experts=1, parts=("down",),
        rows=(slice(0, 6, 1),),
    )  # fmt: skip
    (found,) = judged(alone).findings
    assert ("ambiguous_layout", 1) == (found.kind, found.layer)


def test_a_tensor_that_base_lacks_is_adapted_by_nothing() -> None:
    """So that it leads to INCOMPLETE, and not to PARTIAL."""
    structure = (Finding(kind="tensor_missing", severity="error", message="", tensor=NAME),)
    assert Verdict.INCOMPLETE == judged(LINEAR, structure=structure).verdict


def test_what_was_found_before_counts() -> None:
    """It is among the findings, gravest first, and leads to the verdict."""
    structure = (
        Finding(kind="adapter_key_unmatched", severity="warning", message="odd"),
        Finding(kind="adapter_incomplete", severity="error", message="lacks"),
    )
    found = judged(LINEAR, structure=structure)
    assert (Verdict.PARTIAL, structure[::-1]) == (found.verdict, found.findings)
