"""Tensors that are lost, added or stored otherwise, and what lies beside the weights."""

from __future__ import annotations

from harness.verify.report import Verdict
from tests.verify.planted.catalogue.row import DENSE, FUSED, GPT_OSS, MOE, ROUTED, SHARDED, TIED, Damage, varied
from tests.verify.planted.catalogue.values import HELD, HELD_TIED
from tests.verify.planted.of_files import (
    HEAD,
    added,
    all_stored_in,
    fused_too,
    head_beside_the_embedding,
    in_config,
    in_file,
    left_over,
    lost,
    padded,
    quantised,
    stored_in,
    taken_along,
    tied,
    turned,
    twice,
    unlisted,
    untied,
    vocabulary_renumbered,
    without,
    wrapped,
)
from tests.verify.planted.of_values import adapted, held, untouched
from tests.verify.planted.planting import EMBEDDING

PARTIAL, UNTOLD = Verdict.PARTIAL, Verdict.INCONCLUSIVE
HEAD_ADAPTED = varied(DENSE, targets=("q_proj", "lm_head"))
EMBEDDING_ADAPTED = varied(TIED, targets=("q_proj", "embed_tokens"))
GENERATION = "generation_config.json"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")

TENSORS = [
    Damage("a matrix is not written", lost(adapted("one")), "tensor_missing", MOE, verdict=PARTIAL),
    Damage("an expert is not written", lost(adapted("expert")), "tensor_missing", MOE, verdict=PARTIAL),
    Damage("a layer is not written", lost(adapted("layer")), "tensor_missing", DENSE, verdict=PARTIAL),
    Damage("a saved module is not written", lost(held(HEAD)), "tensor_missing modules_to_save_lost", HELD),
    Damage("a norm is not written", lost(untouched("model.norm.weight")), "tensor_missing", MOE),
    Damage("a router is not written", lost(untouched("mlp.gate.weight")), "tensor_missing", MOE),
    Damage("a tensor too many", added, "tensor_unexpected", DENSE),
    Damage("names of a layer as PEFT wraps them", wrapped, "tensor_missing tensor_unexpected", DENSE,
           verdict=PARTIAL),
    Damage("one tensor in more", stored_in(untouched(HEAD), "F32"), "dtype_changed", MOE, ("BF16", "F16")),
    Damage("one adapted tensor in more", stored_in(adapted("one"), "F32"), "dtype_changed", DENSE, ("BF16",)),
    Damage("one tensor in less", stored_in(untouched(HEAD), "BF16"), "dtype_changed", DENSE, ("F32",)),
    Damage("a correction bias in less", stored_in(untouched("correction_bias"), "BF16"), "dtype_changed", ROUTED,
           ("BF16",)),
    Damage("all in less, unstated", all_stored_in("BF16", stated=False), "dtype_changed", DENSE, ("F32",)),
    Damage("padded vocabulary", padded(EMBEDDING, HEAD, stated=False), "shape_mismatch", MOE),
    Damage("padded vocabulary that is stated", padded(EMBEDDING, HEAD, stated=True),
           "shape_mismatch config_mismatch", DENSE),
    Damage("a matrix on its side", turned(adapted("linear")), "shape_mismatch", MOE),
    Damage("an untouched matrix on its side", turned(untouched("mlp.gate.weight")), "shape_mismatch", MOE),
    Damage("the head is said to be tied", tied, "tensor_missing tied_weights_broken", DENSE),
    Damage("an adapted head is said to be tied", tied, "tensor_missing tied_weights_broken", HEAD_ADAPTED,
           verdict=PARTIAL),
    Damage("the head is said not to be tied", untied, "tensor_missing tied_weights_broken", TIED),
    Damage("base's embedding as the tied head", head_beside_the_embedding, "tied_weights_broken", EMBEDDING_ADAPTED),
    Damage("a head that its embedding takes along", taken_along, "passthrough_changed", EMBEDDING_ADAPTED),
    Damage("a head that its saved embedding takes along", taken_along, "passthrough_changed", HELD_TIED),
    Damage("an expert is there twice", twice, "tensor_duplicated delta_missing", FUSED),
    Damage("a layer's experts are there twice", fused_too, "tensor_duplicated", MOE),
    Damage("quantised weights", quantised, "quantised_weights", DENSE),
]  # fmt: skip

BESIDE = [
    Damage("rope_theta", in_config(rope_theta=10000.0), "config_mismatch", MOE),
    Damage("rope_theta left out", in_config(rope_theta=...), "config_mismatch", DENSE),
    Damage("epsilon", in_config(rms_norm_eps=1e-6), "config_mismatch", GPT_OSS),
    Damage("no config", without("config.json"), "config_mismatch", MOE),
    Damage("eos of the model", in_config(eos_token_id=3), "config_mismatch", MOE),
    Damage("experts of a token", in_config(num_experts_per_tok=3), "config_mismatch", MOE),
    Damage("no generation_config", without(GENERATION), "generation_config_missing", MOE),
    Damage("eos of generation", in_file(GENERATION, eos_token_id=2), "generation_config_changed", DENSE),
    Damage("sampling of generation", in_file(GENERATION, do_sample=False), "generation_config_changed", MOE),
    Damage("no tokenizer", without(*TOKENIZER), "tokenizer_changed", MOE),
    Damage("tokens renumbered", vocabulary_renumbered, "tokenizer_changed", MOE),
    Damage("another chat template", in_file("tokenizer_config.json", chat_template="{{ messages }}"),
           "tokenizer_changed", DENSE),
    Damage("a tensor is not in the index", unlisted, "index_mismatch", SHARDED),
    Damage("a shard is left over", left_over, "index_mismatch", SHARDED),
]  # fmt: skip
