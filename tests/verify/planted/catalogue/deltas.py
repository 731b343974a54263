"""Deltas that are not there, not all there, in other places, or of something else."""

from __future__ import annotations

from harness.verify.report import Verdict
from tests.verify.planted.catalogue.row import (
    ALL,
    APART,
    CROWD,
    DENSE,
    FUSED,
    GPT_OSS,
    LONELY,
    MOE,
    ROUTED,
    SHARDED,
    SWAPPED,
    Damage,
    by_scope,
    varied,
)
from tests.verify.planted.of_deltas import (
    by_rank_one,
    by_text,
    exchanged,
    gate_and_up_swapped,
    half_the_columns,
    half_the_ranks,
    half_the_rows,
    missing,
    mostly_another_experts,
    moved,
    of_an_earlier_step,
    of_another_adapter,
    of_another_layer,
    shifted,
    shuffled,
    without_a_column,
    without_a_row,
)
from tests.verify.planted.of_files import shard_of_base
from tests.verify.planted.of_values import (
    adapted,
    at,
    bases,
    gate_and_up_exchanged,
    lora_biases,
    rehoused,
    without_magnitude,
)
from tests.verify.planted.planting import Setup

UNCHANGED = Verdict.BASE_UNCHANGED
LORA_BIAS = varied(Setup(model="llama"), style="none", lora_bias=True)

MISSING = [
    *by_scope("missing", missing, "delta_missing", ["one", "expert", "layer", "last layer"]),
    *by_scope("missing", missing, "delta_missing", ["experts", "attention"], dtypes=ALL),
    *by_scope("missing", missing, "delta_missing", ["all"], dtypes=ALL, verdict=UNCHANGED),
    *by_scope("missing of a dense model", missing, "delta_missing", ["one", "layer"], DENSE),
    *by_scope("missing of a dense model", missing, "delta_missing", ["all"], DENSE, verdict=UNCHANGED),
    *by_scope("missing of gpt-oss", missing, "delta_missing", ["one", "experts"], GPT_OSS),
    *by_scope("missing of fused files", missing, "delta_missing", ["one", "expert"], FUSED),
    *by_scope("missing of an only expert", missing, "delta_missing", ["experts"], LONELY),
    *by_scope("missing of small deltas", missing, "delta_missing", ["one", "expert"], ROUTED),
    Damage("a shard of base", shard_of_base, "delta_missing", SHARDED),
    Damage("biases of lora_B ignored", at(lora_biases, bases), "delta_missing", LORA_BIAS),
]

IN_PART = [
    *by_scope("without a row", without_a_row, "delta_missing", ["linear", "experts"], num_draws=2),
    *by_scope("without a column", without_a_column, "delta_missing", ["one"], GPT_OSS, num_draws=2),
    *by_scope("half the rows", half_the_rows, "delta_missing", ["one", "all"], num_draws=2),
    *by_scope("half the columns", half_the_columns, "delta_missing", ["one", "all"], SWAPPED),
]

EXCHANGED = [
    Damage("two experts' deltas exchanged", moved(exchanged, layer=1), "experts_permuted", MOE),
    Damage("experts' deltas shuffled", moved(shuffled), "experts_permuted", APART),
    Damage("experts' deltas shifted by one", moved(shifted), "experts_permuted", MOE),
    Damage("experts' deltas sorted as texts", moved(by_text), "experts_permuted", CROWD, ("F32",)),
    Damage("down's deltas shifted", moved(shifted, "down", layer=1), "experts_permuted", GPT_OSS),
    Damage("two experts exchanged", rehoused(exchanged, layer=0), "experts_permuted", MOE),
    Damage(
        "two experts exchanged, large deltas",
        rehoused(exchanged, layer=0),
        "experts_permuted",
        varied(MOE, relative=1.2),
    ),
    Damage(
        "gate and up exchanged, large deltas",
        gate_and_up_exchanged("expert"),
        "gate_up_swapped",
        varied(MOE, relative=1.2),
    ),
    Damage("experts shuffled", rehoused(shuffled), "experts_permuted", APART),
    Damage("experts shifted by one", rehoused(shifted, layer=1), "experts_permuted", GPT_OSS),
    Damage("gate's and up's deltas exchanged: expert", gate_and_up_swapped("expert"), "gate_up_swapped", MOE),
    Damage("gate's and up's deltas exchanged: all", gate_and_up_swapped("all"), "gate_up_swapped", GPT_OSS),
    Damage("gate's and up's deltas exchanged: dense", gate_and_up_swapped("layer"), "gate_up_swapped", DENSE),
    Damage("gate and up exchanged: expert", gate_and_up_exchanged("expert"), "gate_up_swapped", MOE),
    Damage("gate and up exchanged: all", gate_and_up_exchanged("all"), "gate_up_swapped", APART),
]

FOREIGN = [
    *by_scope("of another layer", of_another_layer, "delta_wrong_values", ["one", "layer", "all"]),
    *by_scope("of another adapter", of_another_adapter, "delta_wrong_values", ["one", "all"], SWAPPED),
    *by_scope("of another adapter", of_another_adapter, "delta_wrong_values", ["experts"], APART),
    *by_scope("of an earlier step", of_an_earlier_step, "delta_wrong_values", ["one", "all"], num_draws=2),
    *by_scope("mostly another expert's", mostly_another_experts, "delta_wrong_values", ["expert", "experts"]),
    Damage("rank taken for 1", by_rank_one, "delta_wrong_values", GPT_OSS),
    Damage("rank taken for 1, ranks above experts", by_rank_one, "delta_wrong_values", varied(MOE, rank=7)),
    *by_scope("half the ranks", half_the_ranks, "delta_wrong_values", ["linear", "all"], DENSE),
    Damage(
        "DoRA's magnitude ignored",
        at(adapted("all"), without_magnitude),
        "delta_wrong_values",
        varied(DENSE, dora=True),
    ),
]
