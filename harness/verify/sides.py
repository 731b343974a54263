"""Base and merged laid out under the same names, and every weight of one paired with the other's.

Owns what has no partner, another shape or another dtype, and tied heads, which are there without being stored. Knows no
adapter and no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from harness.verify.companions import Checkpoint, is_tied
from harness.verify.companions.ties import EMBEDDINGS, HEADS
from harness.verify.dtypes import FLOATS
from harness.verify.evidence import Pairing
from harness.verify.families import FamilyRules, load_rules, rules_for
from harness.verify.places import WHOLE, Layout, Place, Site, lay_out
from harness.verify.records import Finding, Severity

HEAD = "lm_head.weight"
COMPUTED = "rotary_emb.inv_freq"
"""What old checkpoints store although every loader computes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One checkpoint's weights by their canonical names."""

    checkpoint: Checkpoint
    layout: Layout
    unexplained: Mapping[str, str]
    """Stored names that no rule explains, and why; they are places under their own names."""
    is_tied: bool
    """Its head is its embedding, and is not stored: it has that place all the same."""
    embedding: str
    """The canonical name; empty if there is none."""


class Paired(NamedTuple):
    """What both checkpoints have."""

    pairings: dict[str, Pairing]
    """By canonical name."""
    doubles: list[Pairing]
    """A weight that one checkpoint stores twice, as if one copy were base and the other merged."""
    findings: list[Finding]


def rules_of(base: Checkpoint) -> FamilyRules:
    """The naming rules of base's family."""
    return rules_for(load_rules(), base.config)


def side_of(checkpoint: Checkpoint, rules: FamilyRules, *, may_tie: bool = True) -> Side:
    """A checkpoint's weights, those that no rule explains under the names that they have.

    `may_tie` is False for merged if base has a head of its own: then one that is not stored is lost, whatever is said.
    """
    layout = lay_out(rules, checkpoint.entries)
    unexplained = {each.name: each.reason for each in layout.unmatched}
    places = dict(layout.places)
    for name in unexplained:
        entry = checkpoint.entries[name]
        places.setdefault(name, Place(Site(name, None, None, None), entry, None, WHOLE, False, entry.shape))
    embedding = _shortest(places, EMBEDDINGS)
    ties = may_tie and bool(is_tied(checkpoint.config)) and _shortest(places, HEADS) is None
    if ties and embedding is not None:
        places[HEAD] = places[embedding]._replace(site=Site(HEAD, None, None, None))
    return Side(
        checkpoint=checkpoint,
        layout=replace(layout, places=places),
        unexplained=unexplained,
        is_tied=ties and embedding is not None,
        embedding=embedding or "",
    )


def pair_sides(base: Side, merged: Side, rules: FamilyRules, held: Mapping[str, tuple[int, ...]]) -> Paired:
    """Every weight of both. `held` are the shapes of what the adapter holds in full, which may differ from base's."""
    findings: list[Finding] = []
    pairings: dict[str, Pairing] = {}
    quantised: list[Finding] = []
    for name, place in base.layout.places.items():
        other = merged.layout.places.get(name)
        if other is None:
            findings.append(_missing(base, place, rules))
        elif (place.entry.dtype in FLOATS) != (other.entry.dtype in FLOATS):
            quantised.append(_quantised(place, other))
        elif other.shape != held.get(name, place.shape):
            expected = held.get(name, place.shape)
            findings.append(_about(other, "shape_mismatch", "has another shape", expected=expected, got=other.shape))
        else:
            pairings[name] = Pairing(place.site, place, other)
    extra = [place for name, place in merged.layout.places.items() if name not in base.layout.places]
    findings += [_unexpected(merged, place, rules) for place in extra if place.site.name not in held]
    findings += _dtypes(pairings.values(), base.checkpoint.config, merged.checkpoint.config)
    stems = tuple({finding.tensor.removesuffix("weight") for finding in quantised})
    findings = [_softened(finding) if _is_of(finding, stems) else finding for finding in findings]
    return Paired(pairings, [*_doubles(base), *_doubles(merged)], [*quantised, *findings])


def _quantised(place: Place, other: Place) -> Finding:
    text = "is quantised, or no longer is: what it should hold cannot be told"
    return _about(other, "quantised_weights", text, expected=place.entry.dtype, got=other.entry.dtype)


def _is_of(finding: Finding, stems: tuple[str, ...]) -> bool:
    """Whether a tensor that one checkpoint alone has is a scale of a quantised one."""
    return bool(stems) and finding.kind in ("tensor_unexpected", "tensor_missing") and finding.tensor.startswith(stems)


def _softened(finding: Finding) -> Finding:
    return replace(finding, severity="note", message=f"{finding.message}: it belongs to a quantised weight")


def _missing(base: Side, place: Place, rules: FamilyRules) -> Finding:
    name = place.site.name
    if name in base.unexplained:
        reason = f"merged has no such tensor, and the name cannot be explained: it {base.unexplained[name]}"
        return _about(place, "family_unknown", reason)
    if _is_unloaded(name, rules):
        return _about(place, "tensor_missing", "is missing, and no loader would take it", severity="note")
    if base.is_tied and name == HEAD:
        text = f"is missing: base's is its {base.embedding}"
        return replace(_about(place, "tensor_missing", text, expected=f"{place.shape}"), tensor=HEAD)
    return _about(place, "tensor_missing", "is missing", expected=f"{place.shape}")


def _unexpected(merged: Side, place: Place, rules: FamilyRules) -> Finding:
    name = place.site.name
    if name in merged.unexplained:
        reason = f"base has no such tensor, and the name cannot be explained: it {merged.unexplained[name]}"
        return _about(place, "family_unknown", reason)
    severity: Severity = "note" if _is_unloaded(name, rules) else "error"
    return _about(place, "tensor_unexpected", "is not in base", severity=severity, got=place.shape)


def _is_unloaded(name: str, rules: FamilyRules) -> bool:
    return name.startswith(rules.not_loaded) or name.endswith(COMPUTED)


def _dtypes(
    pairings: Iterable[Pairing], base_config: Mapping[str, object], config: Mapping[str, object]
) -> Iterator[Finding]:
    """Tensors that changed their dtype, one by one unless they follow the configuration in its change."""
    base_stated, stated = _stated_dtype(base_config), _stated_dtype(config)
    seen: set[str] = set()
    changes: dict[tuple[str, str], list[Place]] = {}
    for pairing in pairings:
        before, after = pairing.base.entry, pairing.merged.entry
        if before.dtype == after.dtype or after.name in seen:
            continue
        seen.add(after.name)
        if after.dtype == stated and before.dtype in FLOATS and before.dtype == (base_stated or before.dtype):
            changes.setdefault((before.dtype, after.dtype), []).append(pairing.merged)
        else:
            text = f"changed its dtype, and the configuration went from {base_stated or 'none'} to {stated or 'none'}"
            yield _about(pairing.merged, "dtype_changed", text, expected=before.dtype, got=after.dtype)
    for (before_dtype, after_dtype), places in changes.items():
        text = f"and {len(places) - 1} others changed their dtype, as the configuration states"
        yield _about(places[0], "dtype_changed", text, severity="warning", expected=before_dtype, got=after_dtype)


def _stated_dtype(config: Mapping[str, object]) -> str | None:
    """Of a configuration, as safetensors spells it."""
    said = str(config.get("dtype") or config.get("torch_dtype")).removeprefix("torch.")
    return {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}.get(said)


def _doubles(side: Side) -> Iterator[Pairing]:
    for double in side.layout.duplicates:
        for other in double.places[1:]:
            if other.shape == double.places[0].shape:
                yield Pairing(other.site, double.places[0], other)


def _about(
    place: Place, kind: str, message: str, *, severity: Severity = "error", expected: object = "", got: object = ""
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        message=message,
        tensor=place.entry.name,
        layer=place.site.layer,
        expert=place.site.expert,
        expected=str(expected),
        got=str(got),
    )


def _shortest(names: Iterable[str], endings: tuple[str, ...]) -> str | None:
    found = [name for name in names if any(name == end or name.endswith(f".{end}") for end in endings)]
    return min((name for name in found if ".layers." not in name), key=len, default=None)
