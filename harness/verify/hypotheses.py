"""What else may have been merged in place of the delta that was expected, each as a delta of its own, with its name.

Owns the catalogue of mistakes: other packings and layouts, another part's, expert's or layer's delta, a transposed one,
other scales. Knows no values of checkpoints; whether a hypothesis holds is found elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import islice, product
from typing import NamedTuple, cast, get_args

from harness.verify.factors import LowRank, Packing, Reading, possible_layouts
from harness.verify.families import Part
from harness.verify.places import Site
from harness.verify.records import AdapterConfig
from harness.verify.work import FactorJob

MAX_OTHERS = 512
"""Of experts and of layers that are tried: more are not in any model that has a name."""

WRONG_LAYOUT, WRONG_PACKING = "delta_wrong_layout", "delta_wrong_packing"
WRONG_VALUES, WRONG_SCALE = "delta_wrong_values", "delta_wrong_scale"
GATE_UP, PERMUTED = "gate_up_swapped", "experts_permuted"
_WORDS = {"rank_major": "rank by rank (rank_major)", "grouped_by_expert": "expert by expert (grouped_by_expert)"}


class Hypothesis(NamedTuple):
    """One mistake."""

    kind: str
    message: str
    delta: LowRank
    expected: str = ""
    got: str = ""
    reading: Reading | None = None
    """Of the factors, if that is the mistake."""


class Scale(NamedTuple):
    """A factor that the delta may have been merged with."""

    factor: float
    kind: str
    why: str


class Slot(NamedTuple):
    """Where a site's factors are."""

    job: FactorJob
    number: int
    """Of the site in the target's order."""

    @property
    def site(self) -> Site:
        """Which weight."""
        return self.job.sites[self.number]

    @property
    def delta(self) -> LowRank:
        """As the configuration says it."""
        return self.job.factors.delta(self.number, self.job.readings[0])


class Neighbours:
    """Every adapted weight by its name, and those that could be taken for each other."""

    def __init__(self, jobs: Iterable[FactorJob]) -> None:
        self.slots = {site.name: Slot(job, index) for job in jobs for index, site in enumerate(job.sites)}
        self.readings: dict[int, Hypothesis] = {}
        """The last mistake in reading a job's factors: its other weights were most likely merged by the same one."""
        self._experts: dict[tuple[int | None, Part | None], list[Slot]] = {}
        for slot in self.slots.values():
            if slot.site.expert is not None:
                self._experts.setdefault((slot.site.layer, slot.site.part), []).append(slot)

    def parts(self, slot: Slot) -> Iterator[Slot]:
        """Gate for up, and up for gate."""
        site = slot.site
        for one, other in (("gate", "up"), ("up", "gate")):
            if site.part == one:
                yield from (each for each in self._of(site.layer, other) if each.site.expert == site.expert)
            elif site.expert is None and f".{one}_proj." in site.name:
                twin = self.slots.get(site.name.replace(f".{one}_proj.", f".{other}_proj."))
                if twin is not None:
                    yield twin

    def experts(self, slot: Slot) -> Iterator[Slot]:
        """The same part of the layer's other experts."""
        site = slot.site
        if site.expert is not None:
            others = (each for each in self._of(site.layer, site.part) if each.site.expert != site.expert)
            yield from islice(others, MAX_OTHERS)

    def layers(self, slot: Slot) -> Iterator[Slot]:
        """The same weight of other layers; not of fused factors, each of which is many megabytes."""
        site = slot.site
        if site.layer is None or slot.job.target.num_experts is not None:
            return
        for layer in range(MAX_OTHERS):
            other = self.slots.get(site.name.replace(f".{site.layer}.", f".{layer}.", 1))
            if other is not None and layer != site.layer:
                yield other

    def _of(self, layer: int | None, part: str | None) -> list[Slot]:
        return self._experts.get((layer, cast(Part, part)), [])


def readings(slot: Slot) -> Iterator[Hypothesis]:
    """The factors read in every other way that their shapes allow."""
    factors, meant = slot.job.factors, slot.job.readings[0]
    if slot.job.target.num_experts is None:
        delta = slot.delta
        if delta.left.shape[0] == delta.right.shape[1]:
            yield Hypothesis(WRONG_LAYOUT, "the transpose of its delta was merged", delta.T)
        return
    layouts = possible_layouts(slot.job.pair, slot.job.target)
    for layout, packing, a_packing in product(layouts, get_args(Packing), get_args(Packing)):
        reading = Reading(layout, packing, a_packing)
        if reading == meant:
            continue
        kind = WRONG_PACKING if layout == meant.layout else WRONG_LAYOUT
        yield Hypothesis(
            kind, _told(meant, reading), factors.delta(slot.number, reading), _spelt(meant), _spelt(reading), reading
        )
    yield from _other_rows(slot, meant)
    if (rank := slot.job.pair.rank) > 1:
        text = "the rank was taken for 1: a single row of lora_A and a single column of lora_B were merged"
        delta = factors.delta_of_rank_one(slot.number, meant.layout)
        yield Hypothesis(WRONG_VALUES, text, delta, f"rank {rank}", "rank 1")


def others(slot: Slot, neighbours: Neighbours) -> Iterator[Hypothesis]:
    """The delta of another weight, for which this one may have been taken."""
    for other in neighbours.parts(slot):
        text = f"the delta of {other.site.part or 'the other of gate and up'} was merged"
        yield Hypothesis(
            GATE_UP, text, other.delta, f"{slot.site.part or slot.site.name}", f"{other.site.part or other.site.name}"
        )
    for other in neighbours.experts(slot):
        text = "the delta of another expert was merged"
        yield Hypothesis(PERMUTED, text, other.delta, f"expert {slot.site.expert}", f"expert {other.site.expert}")
    for other in neighbours.layers(slot):
        text = "the delta of another layer was merged"
        yield Hypothesis(WRONG_VALUES, text, other.delta, f"layer {slot.site.layer}", f"layer {other.site.layer}")


def scales(slot: Slot, config: AdapterConfig) -> Iterator[Scale]:
    """Factors with a name: what the scale may have been taken for."""
    pair = slot.job.pair
    yield Scale(2.0, "delta_applied_twice", "the delta was merged twice")
    yield Scale(-1.0, "delta_wrong_sign", "the delta was subtracted")
    rank, alpha, num_experts = pair.rank, pair.alpha, slot.job.target.num_experts or 1
    named = [
        (alpha / rank, "alpha / rank, without rsLoRA"),
        (alpha / math.sqrt(rank), "alpha / sqrt(rank), as with rsLoRA"),
        (config.alpha / config.rank, "the default rank and alpha, without the patterns"),
        (alpha / config.rank, "the default rank, without rank_pattern"),
        (config.alpha / rank, "the default alpha, without alpha_pattern"),
        (1.0, "no scale at all"),
        (alpha, "alpha, not divided by the rank"),
        (1.0 / rank, "1 / rank, without alpha"),
        (alpha / (rank * num_experts), "alpha / (rank * experts): the rank of all experts together"),
        (alpha * num_experts / rank, "alpha / (rank / experts)"),
        (alpha / max(1, rank // num_experts), "alpha / max(1, rank // experts)"),
        (pair.scaling * pair.scaling, "its scale, applied twice"),
    ]
    for value, why in named:
        factor = value / pair.scaling if pair.scaling else 1.0
        if factor not in (1.0, 2.0, -1.0) and math.isfinite(factor):
            yield Scale(factor, WRONG_SCALE, f"scaled by {why}")


def _other_rows(slot: Slot, meant: Reading) -> Iterator[Hypothesis]:
    """Gate and up taken as turns instead of halves, and back."""
    target = slot.job.target
    num_parts = len(target.parts)
    if num_parts < 2:
        return
    part = slot.number % num_parts
    total = target.shape[0] if target.orientation == "out_in" else target.shape[1]
    each = total // num_parts
    are_halves = (target.rows[part].step or 1) == 1
    rows = slice(part, total, num_parts) if are_halves else slice(part * each, (part + 1) * each, 1)
    was = "turns" if are_halves else "halves"
    delta = slot.job.factors.delta(slot.number, meant, rows=rows)
    meant_as = "halves" if are_halves else "turns"
    yield Hypothesis(WRONG_LAYOUT, f"gate and up were taken for {was} in the rows of the delta", delta, meant_as, was)


def _spelt(reading: Reading) -> str:
    more = "" if reading.a_packing == Reading().a_packing else f", lora_A {reading.a_packing}"
    return f"{reading.layout}, {reading.packing}{more}"


def _told(meant: Reading, got: Reading) -> str:
    """What was read otherwise, in words."""
    said = []
    if got.layout != meant.layout:
        said.append(f"factors laid out as {meant.layout} were read as {got.layout}")
    if got.packing != meant.packing:
        said.append(f"lora_B packed {_WORDS[meant.packing]} was read {_WORDS[got.packing]}")
    if got.a_packing != meant.a_packing:
        said.append(f"lora_A packed {_WORDS[meant.a_packing]} was read {_WORDS[got.a_packing]}")
    return ", and ".join(said)
