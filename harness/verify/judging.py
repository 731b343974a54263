"""From evidence to findings: what is wrong with each weight, how much of the delta survived, what could not be told.

Owns the words for it. Reads values again only to find out what happened to a weight that is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.crew import Crew
from harness.verify.diagnosis import Diagnosis, diagnose, elements
from harness.verify.evidence import Evidence, Pairing
from harness.verify.hypotheses import Neighbours
from harness.verify.places import Place, Site
from harness.verify.records import AdapterConfig, Finding, Severity
from harness.verify.remarks import ambiguous, powerless, survival
from harness.verify.report import ExpertCounts, LayoutSeen, PassthroughCounts, SiteSeen, State, TensorCounts, Verdict
from harness.verify.sides import HEAD
from harness.verify.survey import SiteEvidence, Survey
from harness.verify.unchanged import compare_unchanged
from harness.verify.verdicts import count_experts, count_tensors, in_order, verdict_of
from harness.verify.work import HeldJob
from harness.verify.workspace import Workspace

_LAYER = re.compile(r"\.layers\.(\d{1,9})(?:\.|$)")
_EXPERT = re.compile(r"\.experts\.(\d{1,9})\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """All of a report but what was read."""

    verdict: Verdict
    findings: tuple[Finding, ...]
    tensors: TensorCounts
    experts: ExpertCounts
    passthrough: PassthroughCounts
    layout: LayoutSeen
    sites: tuple[SiteSeen, ...]


def judge(
    seen: Survey,
    doubles: Sequence[Pairing],
    structure: Iterable[Finding],
    untold: Collection[str],
    lacking: Collection[str],
    config: AdapterConfig,
    crew: Crew,
) -> Judgement:
    """The verdict on a merged checkpoint. `structure` is what was found before a value was read.

    `untold` are names of weights that factors without a known place may be for: if they changed, nothing is known.
    `lacking` are names of weights for which the adapter should have factors.
    """
    structure = tuple(structure)
    diagnoses = _diagnoses(seen.sites, config, crew)
    sites = [_site_seen(each, diagnosis) for each, diagnosis in zip(seen.sites, diagnoses, strict=True)]
    whole = [_held(job, evidence) for job, evidence in seen.held]
    whole += [_bias(job.site, job.pairing, evidence) for job, evidence in seen.biases]
    sites += [site for site, _ in whole]
    findings = [
        *structure,
        *(_told(each, found) for each, found in zip(seen.sites, diagnoses, strict=True) if found is not None),
        *(finding for _, finding in whole if finding is not None),
        *_changed(seen.unchanged, untold, lacking),
        *_doubled(doubles, crew),
        *survival(seen.sites, sites),
        *powerless(sites),
        *ambiguous(seen.sites),
    ]
    findings = [_located(finding) for finding in findings]
    adapted = frozenset(_stored_names(seen))
    return Judgement(
        verdict=verdict_of(findings, sites, adapted, Verdict.CONTAINS),
        findings=in_order(findings, adapted),
        tensors=count_tensors(sites),
        experts=count_experts(sites),
        passthrough=PassthroughCounts(
            compared=len(seen.unchanged), identical=sum(not evidence.num_wrong for _, evidence in seen.unchanged)
        ),
        layout=_layout(seen.sites, findings),
        sites=tuple(sites),
    )


def _diagnoses(sites: Sequence[SiteEvidence], config: AdapterConfig, crew: Crew) -> list[Diagnosis | None]:
    """What happened to each weight that is wrong; of one pair of factors after the other, as each fills memory."""
    jobs = {id(each.job): each.job for each in sites}
    neighbours = Neighbours(jobs.values())
    found: dict[int, Diagnosis] = {}
    wrong: dict[int, list[int]] = {}
    for number, each in enumerate(sites):
        if each.evidence is not None and not each.evidence.explains:
            wrong.setdefault(id(each.job), []).append(number)

    def task(number: int) -> Callable[[Workspace], Diagnosis]:
        return lambda space: diagnose(sites[number], neighbours, config, space)

    for job, numbers in wrong.items():
        found |= zip(numbers, crew.run([task(number) for number in numbers]), strict=True)
        jobs[job].factors.release()
    return [found.get(number) for number in range(len(sites))]


def _site_seen(each: SiteEvidence, diagnosis: Diagnosis | None) -> SiteSeen:
    evidence = each.evidence
    return SiteSeen(
        name=each.site.name,
        layer=each.site.layer,
        expert=each.site.expert,
        part=each.site.part,
        state=_state(each, diagnosis),
        recovered=None if evidence is None or each.is_zero else evidence.recovered,
        residual=None if evidence is None or each.is_zero else evidence.residual,
        num_elements=0 if evidence is None else evidence.num_elements,
        num_wrong=0 if evidence is None else evidence.num_wrong,
    )


def _state(each: SiteEvidence, diagnosis: Diagnosis | None) -> State:
    if each.evidence is None:
        return "untold"
    if diagnosis is None or diagnosis.is_right:
        if each.is_zero:
            return "zero"
        return "applied" if each.evidence.num_visible else "lost"
    return "missing" if diagnosis.kind == "delta_missing" and diagnosis.is_whole else "wrong"


def _told(each: SiteEvidence, diagnosis: Diagnosis) -> Finding:
    pairing = each.pairing
    assert pairing is not None
    part = f"{each.site.part}: " if each.site.part and pairing.merged.expert is not None else ""
    return _finding(
        pairing.merged,
        each.site,
        diagnosis.kind,
        f"{part}{diagnosis.message}",
        severity="warning" if diagnosis.is_right else "error",
        expected=diagnosis.expected,
        got=diagnosis.got,
    )


def _held(job: HeldJob, evidence: Evidence | None) -> tuple[SiteSeen, Finding | None]:
    """A weight that the adapter holds in full."""
    what = "trained bias" if job.tensor.why == "bias" else "weight that was trained in full"
    kind = "delta_missing" if job.tensor.why == "bias" else "modules_to_save_lost"
    if evidence is None or job.merged is None:
        text = f"merged has no {job.site.name}, a {what}"
        found = Finding(kind=kind, severity="error", message=text, tensor=job.tensor.name)
        if job.merged is not None:
            text = f"is stored in a shape or dtype in which a {what} cannot be told"
            found = replace(
                _finding(job.merged, job.site, job.problem, text),
                expected=f"{job.tensor.entry.dtype} {job.tensor.entry.shape}",
                got=f"{job.merged.entry.dtype} {job.merged.shape}",
            )
        return _whole_seen(job.site, evidence, "untold"), found
    if evidence.explains:
        return _whole_seen(job.site, evidence, "applied" if evidence.num_visible else "zero"), None
    is_base = evidence.num_wrong_and_base == evidence.num_wrong
    if evidence.num_non_finite:
        kind = "non_finite"
    elif not is_base:
        kind = "delta_wrong_values"
    whose = "base's" if is_base else "not what the adapter holds"
    text = f"is {whose}: a {what}; {elements(evidence)}"
    is_whole = is_base and evidence.num_same == evidence.num_elements
    seen = _whole_seen(job.site, evidence, "missing" if is_whole else "wrong")
    return seen, _with_worst(_finding(job.merged, job.site, kind, text), evidence)


def _bias(site: Site, pairing: Pairing | None, evidence: Evidence | None) -> tuple[SiteSeen, Finding | None]:
    """A bias that lora_bias adds to."""
    if evidence is None or pairing is None:
        return _whole_seen(site, None, "untold"), None
    if evidence.explains:
        return _whole_seen(site, evidence, "applied" if evidence.num_visible else "lost"), None
    is_base = evidence.num_same == evidence.num_elements
    text = "is base's: what lora_bias adds is not in it" if is_base else "is not base's plus what lora_bias adds"
    found = _finding(pairing.merged, site, "delta_missing" if is_base else "delta_wrong_values", text)
    return _whole_seen(site, evidence, "missing" if is_base else "wrong"), _with_worst(found, evidence)


def _whole_seen(site: Site, evidence: Evidence | None, state: State) -> SiteSeen:
    return SiteSeen(
        name=site.name,
        layer=site.layer,
        expert=site.expert,
        part=site.part,
        state=state,
        recovered=None,
        residual=None,
        num_elements=0 if evidence is None else evidence.num_elements,
        num_wrong=0 if evidence is None else evidence.num_wrong,
    )


def _changed(
    unchanged: Iterable[tuple[Pairing, Evidence]], untold: Collection[str], lacking: Collection[str]
) -> Iterator[Finding]:
    """What the adapter does not touch, and is another than base's."""
    for pairing, evidence in unchanged:
        if not evidence.num_wrong:
            continue
        text = f"is not adapted, and changed: {elements(evidence)}"
        kind = "passthrough_changed"
        if evidence.num_non_finite:
            kind, text = (
                "non_finite",
                f"is not adapted, and holds {evidence.num_non_finite} numbers that are not finite",
            )
        elif pairing.site.name in untold:
            text = "changed, and may be what factors without a known place are for"
            yield _finding(pairing.merged, pairing.site, "family_unknown", text, severity="warning")
            continue
        elif pairing.site.name in lacking:
            text = f"changed, and the adapter lacks the factors that its configuration means: {elements(evidence)}"
        elif pairing.site.name == HEAD != pairing.merged.entry.name:
            text = f"is the head too, which is not adapted and changed with it: {elements(evidence)}"
        yield _with_worst(_finding(pairing.merged, pairing.site, kind, text), evidence)


def _doubled(doubles: Sequence[Pairing], crew: Crew) -> Iterator[Finding]:
    """Tensors whose weights their checkpoint stores elsewhere too: of any two the larger, as experts' are together."""

    def task(pairing: Pairing) -> Callable[[Workspace], Evidence]:
        return lambda space: compare_unchanged(pairing, space)

    stored: dict[TensorEntry, list[tuple[Pairing, Evidence]]] = {}
    for pairing, evidence in zip(doubles, crew.run([task(pairing) for pairing in doubles]), strict=True):
        larger = max(pairing.merged.entry, pairing.base.entry, key=lambda entry: math.prod(entry.shape))
        stored.setdefault(larger, []).append((pairing, evidence))
    for entry, held in stored.items():
        num_different = sum(bool(evidence.num_wrong) for _, evidence in held)
        experts = {pairing.site.expert for pairing, _ in held}
        first = held[0][0]
        other = first.base.entry if first.merged.entry == entry else first.merged.entry
        more = len(held) - 1
        others = f"{other.name} and {more} other{'s' if more > 1 else ''}" if more else other.name
        alike = f"with different values in {num_different}" if num_different else "with the same values"
        yield Finding(
            kind="tensor_duplicated",
            severity="error" if num_different else "warning",
            message=f"holds what is stored as {others} too, {alike}",
            tensor=entry.name,
            layer=first.site.layer,
            expert=experts.pop() if len(experts) == 1 else None,
        )


def _layout(sites: Iterable[SiteEvidence], findings: Iterable[Finding]) -> LayoutSeen:
    is_ambiguous = any(finding.kind == "ambiguous_layout" for finding in findings)
    has_single = False
    for each in sites:
        if each.job.target.num_experts is not None:
            return LayoutSeen(fused=each.reading.layout, packing=each.reading.packing, ambiguous=is_ambiguous)
        has_single |= each.site.expert is not None
    return LayoutSeen(fused="per_expert" if has_single else None, packing=None, ambiguous=is_ambiguous)


def _stored_names(seen: Survey) -> Iterator[str]:
    """Of everything that is adapted, as either checkpoint calls it."""
    for each in seen.sites:
        yield each.site.name
        if each.stored_name:
            yield each.stored_name
    for job, _ in seen.held:
        yield job.site.name


def _located(finding: Finding) -> Finding:
    """With layer and expert, where the name of its tensor has them."""
    if not finding.tensor or finding.layer is not None:
        return finding
    layer, expert = _LAYER.search(finding.tensor), _EXPERT.search(finding.tensor)
    return replace(
        finding,
        layer=int(layer[1]) if layer else None,
        expert=int(expert[1]) if expert and finding.expert is None else finding.expert,
    )


def _finding(
    place: Place,
    site: Site,
    kind: str,
    message: str,
    *,
    severity: Severity = "error",
    expected: str = "",
    got: str = "",
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        message=message,
        tensor=place.entry.name,
        layer=site.layer,
        expert=site.expert,
        expected=expected,
        got=got,
    )


def _with_worst(finding: Finding, evidence: Evidence) -> Finding:
    worst = evidence.worst
    return finding if worst is None else replace(finding, expected=f"{worst.expected:.7g}", got=f"{worst.got:.7g}")
