"""What happened to a weight that is not as predicted: the hypothesis that reproduces what is stored, or what is known.

A hypothesis is screened on a sample of rows, by its direction, and believed when it gives the stored bits of the whole
weight. Owns the order in which causes are tried; knows the catalogue, and no findings' severity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import chain

import numpy as np

from harness.verify.compare import compare
from harness.verify.dtypes import rounded
from harness.verify.evidence import Evidence, Pairing
from harness.verify.factors import LowRank
from harness.verify.hypotheses import (
    GATE_UP,
    PERMUTED,
    WRONG_LAYOUT,
    WRONG_SCALE,
    WRONG_VALUES,
    Hypothesis,
    Neighbours,
    Slot,
    others,
    readings,
    scales,
)
from harness.verify.places import Place
from harness.verify.records import AdapterConfig
from harness.verify.roundings import ROUNDOFF
from harness.verify.samples import Direction, Sample, direction_of, product_of, rows_of, sample_of
from harness.verify.survey import SiteEvidence
from harness.verify.ways import (
    BASE_FIRST,
    BOTH_FIRST,
    DELTA_FIRST,
    LESS_EXACT,
    SUM,
    SUMS_IN_HALVES,
    TF32_DELTA_FIRST,
    TF32_PRODUCT,
    TWICE,
    Way,
)
from harness.verify.workspace import Workspace

SAME_SCALE = 0.005
"""How far a measured scale may be off, for rounding."""
EXACTLY = 1e-4
"""And a single element, of the delta."""
NEARLY_ALL = 0.99
LIKELY_COSINE = 0.3
"""Above it, and well above its own delta's, a hypothesis tells the direction where rounding hides each bit."""
SAME_COSINE = 0.99
"""And above this one, whatever it is that hides them."""
NUM_TRIED = 3
"""Hypotheses whose every bit is compared."""
NEARLY_ONE = 0.25
"""How far off 1 a measured scale is at most, where a merge is right but less exact."""
TYPICALLY_OFF = 8.0
"""The bound of a product's error over its usual size."""
HALVES = {"BF16": "bfloat16", "F16": "float16"}
MANY = 8
SPREAD = 0.02
"""Of the wrong elements that a less exact product would give, so many must be there for it to be one; and `MANY`."""
MAX_TURNED_ELEMENTS = 1 << 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What happened to one weight."""

    kind: str
    message: str
    expected: str = ""
    got: str = ""
    is_right: bool = False
    """It is merged, if less exactly than it could be."""
    is_whole: bool = True
    """All of the weight, not some rows of it."""


def diagnose(seen: SiteEvidence, neighbours: Neighbours, config: AdapterConfig, space: Workspace) -> Diagnosis:
    """The cause for a weight that could be compared and is wrong."""
    pairing, evidence = seen.pairing, seen.evidence
    assert pairing is not None and evidence is not None
    slot = Slot(seen.job, seen.index)
    if not seen.is_finite:
        return Diagnosis(kind="non_finite", message="the adapter's factors are not finite, and so is no merge of them")
    if evidence.num_non_finite:
        count = f"{evidence.num_non_finite} of {evidence.num_elements}"
        return Diagnosis(kind="non_finite", message="holds numbers that are not finite", got=count)
    if evidence.num_same == evidence.num_elements:
        return Diagnosis(
            kind="delta_missing", message="is base's: the delta is not in it", expected="delta", got="base"
        )
    if seen.is_zero:
        return _values(evidence, "its delta is zero, and it changed")
    if seen.job.pair.magnitude is not None:
        return _without_magnitude(slot, pairing, evidence, space)
    if found := _as_neighbours(slot, pairing, neighbours, space):
        return found
    sample = sample_of(pairing, evidence, space)
    found = (
        _less_exact(slot, pairing, evidence, sample, space)
        or _another_delta(slot, pairing, neighbours, config, evidence, sample, space)
        or _another_weight(slot, pairing, neighbours, sample, space)
        or _in_part(evidence, "columns" if pairing.flipped else "rows", pairing.shape[1])
    )
    return found or _values(evidence, "is not what a merge of this adapter gives")


def _as_neighbours(slot: Slot, pairing: Pairing, neighbours: Neighbours, space: Workspace) -> Diagnosis | None:
    """Read as another weight of the same pair was seen to be: one that was misread is seldom alone."""
    likely = neighbours.readings.get(id(slot.job))
    if likely and likely.reading and _gives(pairing, slot.job.factors.delta(slot.number, likely.reading), space):
        return Diagnosis(kind=likely.kind, message=likely.message, expected=likely.expected, got=likely.got)
    return None


def _less_exact(slot: Slot, pairing: Pairing, evidence: Evidence, sample: Sample, space: Workspace) -> Diagnosis | None:
    """A product of factors that were rounded before, or by hardware that multiplies with fewer bits."""
    if abs(direction_of(slot.delta, sample).factor - 1) > NEARLY_ONE:
        return None
    for way in (*LESS_EXACT, TF32_PRODUCT, TF32_DELTA_FIRST):
        other = compare(pairing, slot.delta, way, space, stop_early=not way.tolerance)
        if not other.explains:
            continue
        # One bit that is off must not pass for a product that was rounded: that would have more of them right.
        if not way.tolerance and other.num_inexact >= evidence.num_inexact:
            continue
        if way.tolerance and not _is_spread(slot.delta, evidence, sample, way, pairing):
            continue
        rounded_to = HALVES.get(way.factors_in or way.delta_in)
        named = (("factors", way.factors_in), ("product", way.product_in), ("delta", way.delta_in))
        parts = " and ".join(part for part, dtype in named if dtype)
        text = f"{parts} rounded to {rounded_to} before the sum" if rounded_to else "a product as with TF32"
        return Diagnosis(kind="merge_rounding", message=text, is_right=True, got=_residual(evidence))
    for way in SUMS_IN_HALVES:
        other = compare(pairing, slot.delta, way, space, stop_early=True)
        if other.explains and other.num_inexact < evidence.num_inexact:
            text = f"the sum was made in {HALVES[way.sum_in]}"
            if ROUNDOFF[way.sum_in] <= ROUNDOFF[pairing.merged.entry.dtype]:
                return Diagnosis(kind="merge_rounding", message=text, is_right=True, got=_residual(evidence))
            text = f"{text}, of which {pairing.merged.entry.dtype} holds more: the weight was rounded with its delta"
            return Diagnosis(kind=WRONG_VALUES, message=text, got=_residual(evidence))
    return None


def _is_spread(delta: LowRank, evidence: Evidence, sample: Sample, way: Way, pairing: Pairing) -> bool:
    """Whether as many elements are off as such a product would give: a single one that is off was not made by it."""
    sizes = np.abs(delta.left[sample.rows]) @ np.abs(delta.right)
    off = abs(delta.scale) * way.tolerance * sizes / TYPICALLY_OFF
    distance = 2 * ROUNDOFF[pairing.merged.entry.dtype] * np.abs(sample.merged)
    expected = float(np.minimum(1.0, off / np.maximum(distance, np.finfo(np.float32).tiny)).mean())
    return evidence.num_wrong >= max(MANY, SPREAD * expected * evidence.num_elements)


def _another_delta(
    slot: Slot,
    pairing: Pairing,
    neighbours: Neighbours,
    config: AdapterConfig,
    evidence: Evidence,
    sample: Sample,
    space: Workspace,
) -> Diagnosis | None:
    """Its own delta in another scale, read in another way, or another weight's: whichever gives the stored bits."""
    own = Hypothesis(WRONG_SCALE, "", slot.delta)
    own_direction = direction_of(own.delta, sample)
    best, best_direction = own, own_direction
    for stage in (chain([own], readings(slot)), others(slot, neighbours)):
        directed = ((direction_of(each.delta, sample), each) for each in stage)
        for direction, hypothesis in nlargest(NUM_TRIED, directed, key=lambda pair: abs(pair[0].cosine)):
            if found := _scaled(slot, pairing, neighbours, config, hypothesis, direction, space):
                return found
            if abs(direction.cosine) > abs(best_direction.cosine):
                best, best_direction = hypothesis, direction
    cosine, factor = abs(best_direction.cosine), best_direction.factor
    is_told = _is_only_scaled(best.delta, factor, sample, pairing)
    is_scaled = best is own and abs(factor - 1) > SAME_SCALE and is_told
    if is_scaled and 2 * _compared(pairing, slot.delta.times(factor), space).num_inexact < evidence.num_inexact:
        return Diagnosis(
            kind=_kind_of(factor),
            message="the delta is scaled wrongly",
            expected="1 times the delta",
            got=f"about {factor:.4g} times",
        )
    is_likely = cosine >= max(LIKELY_COSINE, 2 * abs(own_direction.cosine))
    if best is not own and is_likely and (is_told or cosine >= SAME_COSINE):
        text = f"{best.message}, nearly: {factor:.3g} times it"
        return Diagnosis(kind=best.kind, message=text, expected=best.expected, got=best.got)
    return None


def _scaled(
    slot: Slot,
    pairing: Pairing,
    neighbours: Neighbours,
    config: AdapterConfig,
    hypothesis: Hypothesis,
    direction: Direction,
    space: Workspace,
) -> Diagnosis | None:
    """The hypothesis in the scale that was measured, if that gives the stored bits."""
    is_own = not hypothesis.message
    if abs(direction.factor - 2) < NEARLY_ONE and compare(pairing, hypothesis.delta, TWICE, space).explains:
        more = "" if is_own else f"{hypothesis.message}, and "
        text = f"{more}the delta was merged twice"
        kind = "delta_applied_twice" if is_own else hypothesis.kind
        return Diagnosis(kind=kind, message=text, expected="1 times the delta", got="2 times, one after the other")
    for factor, kind, why in _factors(slot, config, direction):
        if (is_own and factor == 1.0) or not _gives(pairing, hypothesis.delta.times(factor), space):
            continue
        if is_own:
            return Diagnosis(kind=kind, message=why, expected="1 times the delta", got=f"{factor:.6g} times")
        more = "" if factor == 1.0 else f", and {why}"
        text = hypothesis.message + more
        if factor == 1.0 and hypothesis.reading is not None:
            neighbours.readings[id(slot.job)] = hypothesis
        return Diagnosis(kind=hypothesis.kind, message=text, expected=hypothesis.expected, got=hypothesis.got)
    return None


def _is_only_scaled(delta: LowRank, factor: float, sample: Sample, pairing: Pairing) -> bool:
    """Whether rounding explains what is left of the change without so much of the delta."""
    product = product_of(delta, sample)
    left = sample.merged.astype(np.float64) - sample.base - factor * product
    # Sum and delta are each rounded to half the distance of their neighbours.
    roundoff = 2 * ROUNDOFF[pairing.merged.entry.dtype]
    allowed = roundoff * np.maximum(np.abs(sample.merged), np.abs(sample.base)) + EXACTLY * np.abs(factor * product)
    return bool((np.abs(left) <= allowed).mean() >= NEARLY_ALL)


def _kind_of(factor: float) -> str:
    if abs(factor - 2) < 2 * SAME_SCALE:
        return "delta_applied_twice"
    return "delta_wrong_sign" if factor < 0 else WRONG_SCALE


def _factors(slot: Slot, config: AdapterConfig, direction: Direction) -> Iterator[tuple[float, str, str]]:
    """Scales that are near what was measured, those with a name first."""
    measured = direction.factor
    tolerance = 0.02 + 2 * math.sqrt(max(1 - direction.cosine**2, 0.0))
    if abs(measured - 1) <= tolerance:
        yield 1.0, WRONG_SCALE, ""
    for scale in scales(slot, config):
        if abs(measured / scale.factor - 1) <= tolerance:
            yield scale.factor, scale.kind, scale.why
    for digits in (1, 2, 3, 4, 6):
        factor = float(f"{measured:.{digits}g}")
        if factor not in (0.0, 1.0):
            yield factor, _kind_of(factor), f"the delta is scaled by {factor:g}"


def _compared(pairing: Pairing, delta: LowRank, space: Workspace) -> Evidence:
    return min((compare(pairing, delta, way, space) for way in (SUM, DELTA_FIRST)), key=lambda each: each.num_inexact)


def _gives(pairing: Pairing, delta: LowRank, space: Workspace, base: Place | None = None) -> bool:
    ways = [SUM, DELTA_FIRST]
    if pairing.base.entry.dtype != pairing.merged.entry.dtype:
        ways += [BASE_FIRST, BOTH_FIRST]
    return any(compare(pairing, delta, way, space, other_base=base, stop_early=True).explains for way in ways)


def _another_weight(
    slot: Slot, pairing: Pairing, neighbours: Neighbours, sample: Sample, space: Workspace
) -> Diagnosis | None:
    """The whole of another weight, with its own delta or without any."""
    size, change = float(np.linalg.norm(sample.base)), sample.merged - sample.base
    if not float(np.linalg.norm(change)) > 0.2 * size:
        return None
    own = product_of(slot.delta, sample)
    far = min(float(np.linalg.norm(change - added)) for added in (0.0, own))
    for kind, what, candidates in (
        (GATE_UP, "is the other of gate and up", neighbours.parts(slot)),
        (PERMUTED, "is another expert's", neighbours.experts(slot)),
        (WRONG_VALUES, "is another layer's", neighbours.layers(slot)),
    ):
        for other in candidates:
            place = other.job.pairings[other.number]
            if place is None or place.base.shape != pairing.base.shape:
                continue
            left = sample.merged - rows_of(place.base, sample.rows, space)
            if not any(
                np.linalg.norm(left - added) < 0.5 * far for added in (0.0, own, product_of(other.delta, sample))
            ):
                continue
            name = other.site.part if kind == GATE_UP else other.site.expert if kind == PERMUTED else other.site.layer
            if _gives(pairing, other.delta, space, place.base):
                return Diagnosis(kind=kind, message=f"{what} ({name}), with its delta")
            if _gives(pairing, slot.delta, space, place.base):
                return Diagnosis(kind=kind, message=f"{what} ({name}), with the delta of this one")
            return Diagnosis(kind=kind, message=f"{what} ({name})")
    return _turned(slot, pairing, space)


def _turned(slot: Slot, pairing: Pairing, space: Workspace) -> Diagnosis | None:
    """A square weight that is stored transposed."""
    rows, columns = pairing.base.shape
    if rows != columns or rows * columns > MAX_TURNED_ELEMENTS:
        return None
    every = np.arange(rows)
    base, merged = rows_of(pairing.base, every, space), rows_of(pairing.merged, every, space)
    delta = slot.delta
    summed = base + (delta.left @ delta.right) * np.float32(delta.scale)
    dtype = pairing.merged.entry.dtype
    if np.allclose(rounded(summed, dtype).T, merged, rtol=1e-2 if dtype != "F32" else 1e-5, atol=1e-6):
        return Diagnosis(kind=WRONG_LAYOUT, message="is stored transposed, with its delta")
    return None


def _in_part(evidence: Evidence, lines: str, length: int) -> Diagnosis | None:
    """Some of it is merged, and the rest is base's. `lines` are rows or columns, as it was walked, of this length."""
    if evidence.num_wrong_and_base < evidence.num_wrong or evidence.num_wrong == evidence.num_visible:
        return None
    numbers = evidence.wrong_lines.tolist()
    some = "" if evidence.num_wrong == len(numbers) * length else "some elements of "
    return Diagnosis(
        kind="delta_missing",
        message=f"is base's in {some}{len(numbers)} of its {lines} ({_ranges(numbers)}), and merged in the others",
        expected="delta in all of it",
        got=f"{elements(evidence)} without",
        is_whole=False,
    )


def _without_magnitude(slot: Slot, pairing: Pairing, evidence: Evidence, space: Workspace) -> Diagnosis:
    if _gives(pairing, slot.delta, space):
        return Diagnosis(kind=WRONG_VALUES, message="DoRA's magnitude was left out: only B @ A was merged")
    return _in_part(evidence, "rows", pairing.base.shape[1]) or _values(evidence, "is not what a merge with DoRA gives")


def _values(evidence: Evidence, what: str) -> Diagnosis:
    worst = evidence.worst
    if worst is None:
        return Diagnosis(kind=WRONG_VALUES, message=f"{what}: {elements(evidence)}")
    return Diagnosis(
        kind=WRONG_VALUES,
        message=f"{what}: {elements(evidence)}",
        expected=f"{worst.expected:.7g}",
        got=f"{worst.got:.7g}",
    )


def elements(evidence: Evidence) -> str:
    """How many elements are wrong, and where the worst of them is."""
    at = "" if evidence.worst is None else f" at [{evidence.worst.row}, {evidence.worst.column}]"
    if evidence.num_wrong == 1:
        return f"1 element of {evidence.num_elements}{at}"
    return f"{evidence.num_wrong} of {evidence.num_elements} elements" + (f", most{at}" if at else "")


def _residual(evidence: Evidence) -> str:
    return "" if evidence.residual is None else f"{evidence.residual:.2g} of the delta off"


def _ranges(numbers: Iterable[int]) -> str:
    """`0 to 3, 7`: at most four of them."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    shown = [str(first) if first == last else f"{first} to {last}" for first, last in runs[:4]]
    return ", ".join(shown) + (f" and {len(runs) - 4} more" if len(runs) > 4 else "")
