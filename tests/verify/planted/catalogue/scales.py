"""Deltas that went in by another factor than they should."""

from __future__ import annotations

from tests.verify.planted.catalogue.row import (
    ALL,
    APART,
    DENSE,
    GPT_OSS,
    MOE,
    ROUTED,
    SWAPPED,
    Damage,
    by_scope,
    varied,
)
from tests.verify.planted.of_deltas import by_all_ranks, by_rank, scaled, with_root, without_patterns, without_root
from tests.verify.planted.of_values import adapted, at, twice_over

RANKS = (("q_proj", 4), ("experts.down_proj", 2))
ALPHAS = (("layers.1.self_attn.o_proj", 7), ("up_proj", 3))

SCALED = [
    *by_scope("a twentieth more", scaled(1.05), "delta_wrong_scale", ["one", "layer", "all"], dtypes=ALL),
    *by_scope("a twentieth less", scaled(0.95), "delta_wrong_scale", ["one"], ROUTED, num_draws=2),
    *by_scope("half", scaled(0.5), "delta_wrong_scale", ["one", "all"], GPT_OSS),
    *by_scope("twice", scaled(2), "delta_applied_twice", ["one", "expert", "all"]),
    *by_scope("negated", scaled(-1), "delta_wrong_sign", ["one", "experts", "all"], APART),
    *by_scope("alpha", by_rank, "delta_wrong_scale", ["linear", "all"]),
    *by_scope("alpha / (r E)", by_all_ranks, "delta_wrong_scale", ["expert", "experts"], SWAPPED),
    *by_scope("rsLoRA ignored", without_root, "delta_wrong_scale", ["all"], varied(MOE, rslora=True)),
    *by_scope("rsLoRA assumed", with_root, "delta_wrong_scale", ["all"], DENSE),
    Damage("rank_pattern ignored", without_patterns, "delta_wrong_scale", varied(MOE, rank_pattern=RANKS)),
    Damage("alpha_pattern ignored", without_patterns, "delta_wrong_scale", varied(DENSE, alpha_pattern=ALPHAS)),
    # One sum after the other, each of which is rounded.
    Damage("merged twice: all", at(adapted("all"), twice_over), "delta_applied_twice", MOE),
    Damage("merged twice: layer", at(adapted("layer"), twice_over), "delta_applied_twice", DENSE),
]
