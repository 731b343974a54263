"""Adapters whose own files are spoilt, merged as PEFT would merge what it can read of them."""

from __future__ import annotations

from dataclasses import replace

from tests.verify.planted.catalogue.row import APART, DENSE, FUSED, MOE, Damage, varied
from tests.verify.planted.of_adapters import (
    as_a_linear,
    as_skyrl_names_them,
    configured,
    is_expert,
    moved_out,
    renamed,
    with_a_nan,
    without_a_layer,
    without_b,
    without_gate_and_up,
)

UNMATCHED, LACKING = "adapter_key_unmatched", "adapter_incomplete"
UNEXPLAINED = f"passthrough_changed {LACKING}"
EMBEDDING = varied(DENSE, targets=("q_proj", "embed_tokens"))

IN_ADAPTERS = [
    Damage("factors of a layer that base lacks", moved_out, f"{UNMATCHED} {LACKING}", MOE),
    Damage(
        "factors of a module that base lacks",
        renamed(lambda site: "v_proj" in site, lambda key: key.replace("v_proj", "value_proj")),
        UNMATCHED,
        DENSE,
    ),
    Damage(
        "experts as SkyRL tx names them",
        renamed(is_expert, as_skyrl_names_them),
        UNMATCHED,
        replace(APART, model="qwen3_moe"),
    ),
    Damage(
        "an embedding under a Linear's names",
        renamed(lambda site: "embed_tokens" in site, as_a_linear),
        UNMATCHED,
        EMBEDDING,
    ),
    Damage("a parameter without factors", without_gate_and_up, LACKING, MOE),
    Damage("no factors of a layer", without_a_layer(merged=False), LACKING, MOE),
    Damage("no factors of a layer, an expert a module", without_a_layer(merged=False), LACKING, APART),
    Damage("no factors of a layer, fused files", without_a_layer(merged=False), LACKING, FUSED),
    Damage("merged without factors of a layer", without_a_layer(merged=True), UNEXPLAINED, MOE),
    Damage("merged without factors of a layer, an expert a module", without_a_layer(merged=True), UNEXPLAINED, APART),
    Damage("merged without factors of a layer, fused files", without_a_layer(merged=True), UNEXPLAINED, FUSED),
    Damage("merged without factors of a layer, dense", without_a_layer(merged=True), UNEXPLAINED, DENSE),
    Damage("a start from a changed base", configured(init_lora_weights="pissa"), "adapter_unsupported", DENSE),
    Damage("a number of lora_B is none", with_a_nan, "non_finite", DENSE),
    Damage("every lora_B is zero", without_b(""), "b_all_zero", DENSE),
]
