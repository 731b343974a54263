"""Factors that were taken apart in another way than they are meant, and what cannot be told of them."""

from __future__ import annotations

from tests.verify.planted.catalogue.row import (
    ALL,
    CROWD,
    GPT_OSS,
    MOE,
    ROUTED,
    SQUARE,
    SQUARE_LINEAR,
    SQUARER,
    SWAPPED,
    Damage,
    by_scope,
    varied,
)
from tests.verify.planted.merging import Reading
from tests.verify.planted.of_adapters import fused_factors_named, not_saying_its_version
from tests.verify.planted.of_deltas import misread, transposed
from tests.verify.planted.planting import Setup

PACKING, LAYOUT = "delta_wrong_packing", "delta_wrong_layout"
GROUPED, OTHER_A, TURNED = Reading(b="grouped"), Reading(a="rank_major"), Reading(turned=True)
NEITHER, OTHER_HALVES = Reading(a="rank_major", b="grouped"), Reading(halves="other")

READ = [
    Damage("B grouped by expert", misread(GROUPED), PACKING, MOE, ALL),
    Damage("B grouped by expert: one layer", misread(GROUPED, layer=1), PACKING, SWAPPED),
    Damage("B grouped by expert: down of one layer", misread(GROUPED, layer=1, parts=("down",)), PACKING, GPT_OSS),
    Damage("B grouped by expert, ranks above experts", misread(GROUPED), PACKING, varied(MOE, rank=7)),
    Damage("B grouped by expert, many experts", misread(GROUPED), PACKING, CROWD, ("BF16",)),
    Damage("A by rank", misread(OTHER_A), PACKING, MOE),
    Damage("A by rank, B grouped", misread(NEITHER), PACKING, ROUTED),
    Damage("standard read as swapped", misread(TURNED), LAYOUT, SQUARE),
    Damage("swapped read as standard", misread(TURNED), LAYOUT, varied(SQUARE, style="swapped")),
    Damage("swapped read as standard: one layer", misread(TURNED, layer=0), LAYOUT, varied(SQUARER, style="swapped")),
    Damage("swapped read as standard, B grouped", misread(Reading(turned=True, b="grouped")), LAYOUT, SQUARE),
    *by_scope("transposed", transposed, LAYOUT, ["linear", "all"], SQUARE_LINEAR),
    Damage("gpt-oss in halves", misread(OTHER_HALVES), LAYOUT, GPT_OSS),
    Damage("qwen in turns", misread(OTHER_HALVES), LAYOUT, MOE),
    # Nothing says which of two layouts was trained: the merge may be right, and only its writer can know.
    Damage("equal axes, version unsaid", not_saying_its_version, "ambiguous_layout", SQUARE),
    Damage("equal axes, swapped, version unsaid", not_saying_its_version, "ambiguous_layout",
           varied(SQUARE, style="swapped")),
    Damage("experts of a family without rules", fused_factors_named, "family_unknown", Setup(model="stranger")),
]  # fmt: skip
