"""An adapter and its base alone: is it well-formed for it, what does it touch, is any of it nothing?

Owns the verdict FITS. Reads the adapter's factors, and no weight of base.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from harness.verify.blocks import Files
from harness.verify.factors import Factors, Reading
from harness.verify.judging import Judgement
from harness.verify.readings import stated_readings
from harness.verify.records import Adapter, FactorPair, Finding
from harness.verify.remarks import ambiguity, powerless
from harness.verify.report import ExpertCounts, LayoutSeen, PassthroughCounts, SiteSeen, State, TensorCounts, Verdict
from harness.verify.targets import Target
from harness.verify.verdicts import count_experts, in_order, verdict_of
from harness.verify.work import Claims


def judge_adapter(adapter: Adapter, claims: Claims, structure: Iterable[Finding], files: Files) -> Judgement:
    """The verdict on an adapter. Its weights are `zero`, `wrong` (not finite), or `untold`: nothing is merged yet."""
    sites: list[SiteSeen] = []
    findings = list(structure)
    layout = LayoutSeen(fused=None, packing=None, ambiguous=False)
    for (pair, target), readings in zip(claims.jobs, stated_readings(adapter.config, claims.jobs), strict=True):
        factors = Factors.of(pair, target, files)
        with np.errstate(all="ignore"):  # numbers may be any, and are counted
            seen = [_seen(claims, name, factors, index, readings[0]) for index, name in enumerate(target.sites)]
        factors.release()
        sites += seen
        layout = _layout(layout, target, readings, seen)
        if len(readings) > 1:
            findings.append(ambiguity(pair.a.name, seen[0].layer, readings, None))
        if any(site.state == "wrong" for site in seen):
            findings.append(_not_finite(pair))
    if not claims.held:
        findings += powerless(sites)
    nothing = frozenset[str]()
    return Judgement(
        verdict=verdict_of(findings, (), nothing, Verdict.FITS),
        findings=in_order(findings, nothing),
        tensors=TensorCounts(targeted=len(sites) + len(claims.held), matched=0, unchanged=0, wrong=0),
        experts=ExpertCounts(attempted=count_experts(sites).attempted, applied=0, fallback=0),
        passthrough=PassthroughCounts(compared=0, identical=0),
        layout=layout,
        sites=tuple(sites),
    )


def _seen(claims: Claims, name: str, factors: Factors, index: int, reading: Reading) -> SiteSeen:
    delta = factors.delta(index, reading)
    state: State = "untold" if delta.is_finite else "wrong"
    site = claims.sites[name]
    return SiteSeen(
        name=name,
        layer=site.layer,
        expert=site.expert,
        part=site.part,
        state="zero" if delta.is_zero else state,
        recovered=None,
        residual=None,
        num_elements=delta.left.shape[0] * delta.right.shape[1],
        num_wrong=0,
    )


def _layout(before: LayoutSeen, target: Target, readings: tuple[Reading, ...], seen: list[SiteSeen]) -> LayoutSeen:
    is_ambiguous = before.ambiguous or len(readings) > 1
    if target.num_experts is not None:
        return LayoutSeen(fused=readings[0].layout, packing=readings[0].packing, ambiguous=is_ambiguous)
    if before.fused is None and seen[0].expert is not None:
        return LayoutSeen(fused="per_expert", packing=None, ambiguous=is_ambiguous)
    return before


def _not_finite(pair: FactorPair) -> Finding:
    text = "the factors hold numbers that are not finite"
    return Finding(kind="non_finite", severity="error", message=text, tensor=pair.a.name)
