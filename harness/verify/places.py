"""Where every weight of a checkpoint lies, given its tensors' names and shapes alone.

Owns the translation of a file's layout (an expert a tensor, or all of a layer's in one, in halves or interleaved,
transposed or not, under one prefix or another) into sites, which have the same names in all of them. Reads no numbers,
and knows no adapters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from harness.checkpoints.safetensors_file import TensorEntry
from harness.verify.families import ExpertRules, FamilyRules, FusedRule, Part, Spelling, rewrite, spell, split_expert

WHOLE = slice(None)
MAX_EXPERTS = 65_536
"""In one parameter: more is a damaged or hostile shape, and would be counted out one by one."""
WEIGHT = ".weight"
_EXPERTS = ".experts."


class Site(NamedTuple):
    """One weight of the model: what base and merged have in common, however they are stored."""

    name: str
    """The tensor's canonical name: one an expert, under the family's own prefix."""
    layer: int | None
    expert: int | None
    part: Part | None
    """Of an expert's matrix."""


class Place(NamedTuple):
    """Where a site's values lie: `entry[expert]` if that is a number, then `rows` of its output axis."""

    site: Site
    entry: TensorEntry
    expert: int | None
    """Index on the first axis; None if the entry is this site's alone."""
    rows: slice
    transposed: bool
    """The stored matrix is (in, out): its columns are the site's rows."""
    shape: tuple[int, ...]
    """Of the site: (out, in) for an expert's matrix, and as it is stored for every other tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A stored tensor that no rule explains."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """A site that is stored more than once; the layout has the first."""

    name: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All of a checkpoint."""

    places: Mapping[str, Place]
    """By the site's name."""
    num_experts: Mapping[str, int]
    """By what stands before the experts' names (`model.layers.3.`): one more than the highest number there."""
    unmatched: tuple[Unmatched, ...]
    duplicates: tuple[Duplicate, ...]


def lay_out(rules: FamilyRules, entries: Mapping[str, TensorEntry]) -> Layout:
    """Every site of a checkpoint. Whatever no rule explains is in `unmatched`, and whatever is there twice is said."""
    places: dict[str, Place] = {}
    claims: dict[str, list[Place]] = {}
    num_experts: dict[str, int] = {}
    unmatched: list[Unmatched] = []
    for name, entry in entries.items():
        spelling = spell(rules, name)
        found = _places(rules, spelling, entry)
        if isinstance(found, str):
            unmatched.append(Unmatched(name=name, reason=found))
            continue
        for place in found:
            site = place.site
            if places.setdefault(site.name, place) is not place:
                claims.setdefault(site.name, [places[site.name]]).append(place)
            if site.expert is not None:
                num_experts[spelling.head] = max(num_experts.get(spelling.head, 0), site.expert + 1)
    return Layout(
        places=places,
        num_experts=num_experts,
        unmatched=tuple(unmatched),
        duplicates=tuple(Duplicate(name=name, places=tuple(each)) for name, each in claims.items()),
    )


def canonical_name(rules: FamilyRules, name: str) -> str:
    """The site's name of a tensor that is stored, or a parameter that is held, by itself: not fused."""
    spelling = spell(rules, name)
    split = split_expert(spelling.rest)
    if rules.experts is not None and split is not None and (part := _apart(rules.experts).get(split[0])):
        return expert_name(rules.experts, spelling.head, split[1], part)
    return spelling.head + rewrite(rules.renames, spelling.rest)


def expert_name(experts: ExpertRules, head: str, expert: int, part: Part) -> str:
    """The site's name of one expert's matrix in the layer of `head`."""
    before, behind = _canonical(experts)[part]
    return f"{head}{before}{expert}{behind}"


def part_rows(experts: ExpertRules, fused: FusedRule, num_rows: int) -> tuple[slice, ...]:
    """Where each part of a fused parameter stands on its output axis of `num_rows`, which they share evenly."""
    num_parts = len(fused.parts)
    each = num_rows // num_parts
    if experts.gate_and_up == "interleaved":
        return tuple(slice(start, num_rows, num_parts) for start in range(num_parts))
    return tuple(slice(start * each, (start + 1) * each, 1) for start in range(num_parts))


def _places(rules: FamilyRules, spelling: Spelling, entry: TensorEntry) -> tuple[Place, ...] | str:
    """What one stored tensor holds, or why that cannot be told."""
    experts = rules.experts
    if experts is not None:
        fused = _fused(experts).get(spelling.rest)
        if fused is not None and fused.parts:
            return _unsound(experts, fused, entry) or tuple(_fused_places(experts, fused, spelling, entry))
        split = split_expert(spelling.rest) if experts.stored_apart else None
        if split is not None and (part := _apart(experts).get(split[0])):
            name = expert_name(experts, spelling.head, split[1], part)
            site = Site(name=name, layer=spelling.layer, expert=split[1], part=part)
            return f"has {len(entry.shape)} axes, not 2" if len(entry.shape) != 2 else (_whole(site, entry),)
        if fused is None and _EXPERTS in spelling.rest:
            return f"is none of the names that {rules.name} has for experts"
    elif _EXPERTS in spelling.head + spelling.rest:
        return (
            "the family has no naming rules for experts" if rules.name else "there are no naming rules for the family"
        )
    name = spelling.head + rewrite(rules.renames, spelling.rest)
    return (_whole(Site(name=name, layer=spelling.layer, expert=None, part=None), entry),)


def _whole(site: Site, entry: TensorEntry) -> Place:
    return Place(site, entry, expert=None, rows=WHOLE, transposed=False, shape=entry.shape)


def _unsound(experts: ExpertRules, fused: FusedRule, entry: TensorEntry) -> str:
    """Why the shape cannot be a fused parameter's; empty if it can."""
    if len(entry.shape) != 3:
        return f"has {len(entry.shape)} axes, not 3"
    if 0 in entry.shape:
        return "holds nothing"
    if entry.shape[0] > MAX_EXPERTS:
        return f"would hold {entry.shape[0]} experts"
    if _outputs(experts, entry) % len(fused.parts):
        return f"its output axis of {_outputs(experts, entry)} is not {len(fused.parts)} equal parts"
    return ""


def _fused_places(experts: ExpertRules, fused: FusedRule, spelling: Spelling, entry: TensorEntry) -> Iterator[Place]:
    outputs = _outputs(experts, entry)
    transposed = experts.orientation == "in_out"
    shape = (outputs // len(fused.parts), entry.shape[1 if transposed else 2])
    for part, rows in zip(fused.parts, part_rows(experts, fused, outputs), strict=True):
        for expert in range(entry.shape[0]):
            name = expert_name(experts, spelling.head, expert, part)
            site = Site(name=name, layer=spelling.layer, expert=expert, part=part)
            yield Place(site, entry, expert=expert, rows=rows, transposed=transposed, shape=shape)


def _outputs(experts: ExpertRules, entry: TensorEntry) -> int:
    return entry.shape[2 if experts.orientation == "in_out" else 1]


@cache
def _apart(experts: ExpertRules) -> dict[str, Part]:
    """Tensor names with `{expert}`, to what they hold."""
    return {name + WEIGHT: rule.part for rule in experts.apart for name in rule.names}


@cache
def _fused(experts: ExpertRules) -> dict[str, FusedRule]:
    return {name: rule for rule in experts.fused for name in rule.names}


@cache
def _canonical(experts: ExpertRules) -> dict[Part, tuple[str, str]]:
    """What stands before and behind the expert's number."""
    halves = {rule.part: rule.names[0].split("{expert}") for rule in experts.apart}
    return {part: (before, behind + WEIGHT) for part, (before, behind) in halves.items()}
