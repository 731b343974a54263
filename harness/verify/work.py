"""What there is to do: which weights a pair of factors should have changed, which the adapter holds, which neither.

Owns the adapter's claims on the weights of base; a part of it that has no place there is a finding. Judges no values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harness.verify.blocks import Files
from harness.verify.dtypes import FLOATS
from harness.verify.evidence import Pairing
from harness.verify.factors import Factors, Reading
from harness.verify.families import FamilyRules
from harness.verify.lacking import lacking
from harness.verify.places import WHOLE, Place, Site, canonical_name
from harness.verify.readings import stated_readings
from harness.verify.records import Adapter, FactorPair, Finding, Severity, WholeTensor
from harness.verify.sides import HEAD, Side
from harness.verify.targets import Target, Unplaced, target_of

BIAS = ".bias"
_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorJob:
    """A pair of factors, and the weights that it should have changed."""

    factors: Factors
    readings: tuple[Reading, ...]
    """All that the configuration leaves; one, unless shapes are equal and nothing says more."""
    sites: tuple[Site, ...]
    """In the target's order."""
    stored_names: tuple[str, ...]
    """Of each site, in base."""
    pairings: tuple[Pairing | None, ...]
    """Of each site; None where merged has none that can be compared."""

    @property
    def pair(self) -> FactorPair:
        """The factors' own record."""
        return self.factors.pair

    @property
    def target(self) -> Target:
        """What they are for."""
        return self.factors.target


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldJob:
    """A weight that the adapter holds in full."""

    tensor: WholeTensor
    site: Site
    base: Place | None
    """None for a module that base does not have, such as a new head."""
    merged: Place | None

    @property
    def problem(self) -> str:
        """The kind of what keeps it from being compared with merged's; empty if nothing does."""
        if self.merged is None:
            return ""
        held, stored = self.tensor.entry, self.merged
        if stored.entry.dtype not in FLOATS or held.dtype not in (*FLOATS, "F64"):
            return "quantised_weights"
        return "shape_mismatch" if stored.shape != held.shape else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasJob:
    """A bias that `lora_bias` should have changed."""

    pair: FactorPair
    pairing: Pairing | None
    site: Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an adapter means in this base."""

    jobs: tuple[tuple[FactorPair, Target], ...]
    held: Mapping[str, WholeTensor]
    """By canonical name."""
    biases: Mapping[str, FactorPair]
    """By canonical name."""
    sites: Mapping[str, Site]
    """Of every target, by name."""
    skipped: frozenset[str]
    """Names of weights whose change cannot be told."""
    lacking: frozenset[str]
    """Names of weights that should have factors."""
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """All that is to be compared."""

    factors: tuple[FactorJob, ...]
    held: tuple[HeldJob, ...]
    biases: tuple[BiasJob, ...]
    unchanged: tuple[Pairing, ...]
    findings: tuple[Finding, ...]


def claims_of(adapter: Adapter, base: Side, rules: FamilyRules) -> Claims:
    """Every pair and whole tensor of the adapter with its place in base; what has none is a finding."""
    findings: list[Finding] = []
    jobs: list[tuple[FactorPair, Target]] = []
    biases: dict[str, FactorPair] = {}
    claimed: dict[str, str] = {}
    skipped: set[str] = set()
    for pair in adapter.pairs:
        found = target_of(rules, base.layout, pair, adapter.config.target_parameters)
        problem = found if isinstance(found, Unplaced) else _misfit(pair, found)
        if problem is not None:
            findings.append(_unplaced(pair, problem, base))
            continue
        assert isinstance(found, Target)
        if twice := next((name for name in found.sites if name in claimed), None):
            text = f"adapts {twice}, as {claimed[twice]} does: what a merge should hold cannot be told"
            findings.append(_of_pair(pair, "adapter_unsupported", text))
            continue
        claimed |= dict.fromkeys(found.sites, pair.module)
        if pair.magnitude is not None and pair.kind == "embedding":
            findings.append(_of_pair(pair, "adapter_unsupported", "DoRA of an embedding is not told here"))
            skipped |= set(found.sites)
            continue
        jobs.append((pair, found))
        if pair.bias is not None:
            name = canonical_name(rules, pair.module + BIAS)
            if name in base.layout.places:
                biases[name] = pair
            else:
                findings.append(_of_pair(pair, "adapter_key_unmatched", f"base has no {name}, which lora_bias needs"))
    held: dict[str, WholeTensor] = {}
    for tensor in adapter.whole:
        name = canonical_name(rules, tensor.name)
        if name in base.layout.places or tensor.why == "modules_to_save":
            held[name] = tensor
        else:
            text = f"base has no {name}, which the adapter holds"
            findings.append(
                Finding(kind="adapter_key_unmatched", severity="error", message=text, tensor=tensor.entry.name)
            )
    lacks = lacking(adapter, base, [target for _, target in jobs])
    sites = {name: base.layout.places[name].site for _, target in jobs for name in target.sites}
    return Claims(
        jobs=tuple(jobs),
        held=held,
        biases=biases,
        sites=sites,
        skipped=frozenset(skipped),
        lacking=lacks.sites,
        findings=(*findings, *lacks.findings),
    )


def work_of(
    claims: Claims, adapter: Adapter, base: Side, merged: Side, pairings: Mapping[str, Pairing], files: Files
) -> Work:
    """Every weight of `pairings` in the one list that it belongs to."""
    findings: list[Finding] = []
    touched: set[str] = set(claims.skipped)
    jobs = []
    for (pair, target), readings in zip(claims.jobs, stated_readings(adapter.config, claims.jobs), strict=True):
        places = [base.layout.places[name] for name in target.sites]
        comparable = []
        for place in places:
            pairing = pairings.get(place.site.name)
            if pairing is not None and place.site.name in claims.held:
                # PEFT loads what it has saved of an adapted module into it, and merges into that.
                pairing = pairing._replace(base=_held_place(place, claims.held[place.site.name]))
            if pairing is not None and (reason := _unreadable(pairing)):
                findings.append(_quantised(pairing, reason))
                pairing = None
            comparable.append(pairing)
        touched |= set(target.sites)
        job = FactorJob(
            factors=Factors.of(pair, target, files),
            readings=readings,
            sites=tuple(place.site for place in places),
            stored_names=tuple(place.entry.name for place in places),
            pairings=tuple(comparable),
        )
        jobs.append(job)
    held = []
    for name, tensor in claims.held.items():
        if name in touched:
            continue
        known = base.layout.places.get(name)
        site = Site(name, None, None, None) if known is None else known.site
        held.append(HeldJob(tensor=tensor, site=site, base=known, merged=merged.layout.places.get(name)))
    biases = []
    for name, pair in claims.biases.items():
        pairing = pairings.get(name)
        if pairing is not None and (reason := _unreadable(pairing)):
            findings.append(_quantised(pairing, reason))
            pairing = None
        biases.append(BiasJob(pair=pair, pairing=pairing, site=base.layout.places[name].site))
    touched |= {*claims.held, *claims.biases}
    if base.is_tied and merged.is_tied and (not {HEAD, base.embedding} & touched or _ties_factors(adapter)):
        touched.add(HEAD)  # one tensor, which is compared under its other name
    return Work(
        factors=tuple(jobs),
        held=tuple(held),
        biases=tuple(biases),
        unchanged=tuple(pairing for name, pairing in pairings.items() if name not in touched),
        findings=tuple(findings),
    )


def _held_place(place: Place, tensor: WholeTensor) -> Place:
    return Place(place.site, tensor.entry, expert=None, rows=WHOLE, transposed=False, shape=tensor.entry.shape)


def _ties_factors(adapter: Adapter) -> bool:
    """Whether head and embedding were trained as one (PEFT 0.18 and later)."""
    return adapter.config.raw.get("ensure_weight_tying") is True


def _misfit(pair: FactorPair, target: Target) -> Unplaced | None:
    """Factors of another number of experts, which PEFT refuses."""
    wanted = pair.rank * (target.num_experts or 1)
    if pair.a.shape[0] == wanted:
        return None
    text = f"lora_A has {pair.a.shape[0]} rows, and {target.parameter} needs {wanted}: {pair.rank} for each expert"
    return Unplaced(reason=text)


def _unplaced(pair: FactorPair, problem: Unplaced, base: Side) -> Finding:
    why = base.unexplained.get(problem.missing)
    if why is None and "experts" in pair.module and base.unexplained:
        why = next(iter(base.unexplained.values()))
    if why is not None:
        return _of_pair(
            pair, "family_unknown", f"cannot be placed, as the names of base are not known: its weight {why}"
        )
    return _of_pair(pair, "adapter_key_unmatched", f"has no place in base: {problem.reason}")


def _of_pair(pair: FactorPair, kind: str, message: str, severity: Severity = "error") -> Finding:
    layer = _LAYER.search(pair.module)
    return Finding(
        kind=kind, severity=severity, message=message, tensor=pair.a.name, layer=int(layer[1]) if layer else None
    )


def _unreadable(pairing: Pairing) -> str:
    dtypes = {pairing.base.entry.dtype, pairing.merged.entry.dtype} - set(FLOATS)
    return ", ".join(sorted(dtypes))


def _quantised(pairing: Pairing, dtypes: str) -> Finding:
    return Finding(
        kind="quantised_weights",
        severity="error",
        message="is adapted, and stored in a dtype in which a merge cannot be told",
        tensor=pairing.merged.entry.name,
        layer=pairing.site.layer,
        expert=pairing.site.expert,
        expected=", ".join(FLOATS),
        got=dtypes,
    )
