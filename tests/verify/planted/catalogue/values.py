"""Single numbers and whole tensors that are not what was merged, adapted or not."""

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
    varied,
)
from tests.verify.planted.merging import WAYS
from tests.verify.planted.of_values import (
    a_high_bit,
    adapted,
    an_element,
    at,
    bases,
    held,
    infinity,
    not_a_number,
    nothing,
    one_held,
    rows_turned,
    slightly_scaled,
    summed_in,
    the_lowest_bit,
    through,
    untouched,
    zeros,
    zeros_at_the_end,
)
from tests.verify.planted.planting import Setup

WRONG, CHANGED, LOST = "delta_wrong_values", "passthrough_changed", "modules_to_save_lost"
TINY = varied(MOE, relative=0.0003)
TINY_FIRST = varied(Setup(way=WAYS["delta first"]), relative=0.0003)
HELD = varied(Setup(model="qwen3"), style="none", saved=("lm_head", "norm"))
HELD_TIED = varied(Setup(model="qwen3-tied"), style="none", saved=("embed_tokens",))
BIASED = varied(Setup(model="llama"), style="none", trained_bias="lora_only")

ELEMENTS = [
    Damage("an element", at(adapted("one"), an_element), WRONG, MOE, ALL, num_draws=3),
    Damage("an element: all", at(adapted("all"), an_element), WRONG, GPT_OSS),
    Damage("the lowest bit", at(adapted("one"), the_lowest_bit), WRONG, MOE, ("BF16", "F16"), num_draws=6),
    Damage("a high bit", at(adapted("one"), a_high_bit), WRONG, SWAPPED, ALL, num_draws=2),
    Damage("zeros", at(adapted("one"), zeros), WRONG, MOE),
    Damage("zeros at the end", at(adapted("linear"), zeros_at_the_end), WRONG, DENSE),
    Damage("rows of a head turned", at(adapted("linear"), rows_turned), WRONG, MOE),
    Damage("a NaN", at(adapted("one"), not_a_number), "non_finite", MOE, ALL),
    Damage("an infinity", at(adapted("one"), infinity), "non_finite", GPT_OSS),
    # Where base has more bits than the sum had, these are gone; where it has no more, nothing but the delta's are.
    Damage("sums of float16", at(adapted("all"), summed_in("F16")), WRONG, MOE, ("F32",)),
    Damage("sums of bfloat16", at(adapted("all"), summed_in("BF16")), WRONG, DENSE, ("F32",)),
    Damage("lost to rounding", nothing, "lost_to_rounding", TINY, ("BF16",)),
    Damage("lost to rounding, delta first", nothing, "lost_to_rounding", TINY_FIRST, ("BF16",)),
]

UNTOUCHED = [
    Damage("an untouched NaN", at(untouched("norm.weight"), not_a_number), "non_finite", MOE),
    Damage("an untouched infinity", at(untouched("lm_head.weight"), infinity), "non_finite", DENSE, ALL),
    Damage("an untouched element", at(untouched("embed_tokens.weight"), an_element), CHANGED, MOE, ALL),
    Damage("an untouched lowest bit", at(untouched("lm_head.weight"), the_lowest_bit), CHANGED, DENSE, ALL),
    Damage("an untouched high bit", at(untouched("q_norm.weight"), a_high_bit), CHANGED, DENSE),
    Damage("an untouched expert's lowest bit", at(untouched(".down_proj.weight"), the_lowest_bit), CHANGED,
           varied(GPT_OSS, parameters=("gate_up_proj",))),
    Damage("a norm", at(untouched("norm.weight"), slightly_scaled), CHANGED, MOE),
    Damage("a router", at(untouched("mlp.gate.weight"), slightly_scaled), CHANGED, ROUTED),
    Damage("a correction bias", at(untouched("e_score_correction_bias"), through("BF16")), CHANGED, ROUTED),
    Damage("an expert's bias", at(untouched("down_proj_bias"), zeros), CHANGED, GPT_OSS),
    Damage("an untouched norm of zeros", at(untouched("post_attention_layernorm.weight"), zeros), CHANGED, APART),
    Damage("the embedding through float16", at(untouched("embed_tokens.weight"), through("F16")), CHANGED, MOE,
           ("F32",)),
]  # fmt: skip

IN_FULL = [
    Damage("a saved module is base's", at(held("lm_head.weight"), bases), LOST, HELD),
    Damage("all saved modules are base's", at(held(""), bases), LOST, HELD),
    Damage("a saved module is another", at(held("lm_head.weight"), slightly_scaled), WRONG, HELD),
    Damage("a trained bias is base's", at(one_held, bases), "delta_missing", BIASED),
    Damage("all trained biases are base's", at(held(".bias"), bases), "delta_missing", BIASED),
    Damage("a saved embedding is base's, of a tied model", at(held("embed_tokens.weight"), bases), LOST, HELD_TIED),
]
