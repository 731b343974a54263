"""What each verdict and each kind of finding means in plain words, and what to do about it: two tables, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from harness.verify.report import Verdict, VerifyReport

Total = Literal["adapted", "experts", "others", ""]
"""What a kind's findings are counted against: adapted weights, expert matrices, or weights that are not adapted."""


class Meaning(NamedTuple):
    """One kind of finding."""

    says: str
    """What is wrong with so many tensors: `{count}` is "3 of 12"; `{weights}`, `{are}` and `{have}` agree with it."""
    total: Total
    advice: str


AFTER: Mapping[Verdict, str] = {
    Verdict.CONTAINS: "Nothing to do.",
    Verdict.FITS: "Merge it, then verify what came out: the same command with --merged.",
    Verdict.WRONG_VALUES: "Do not ship this checkpoint. Merge again from base, and verify again.",
    Verdict.WRONG_LAYOUT: "Do not ship this checkpoint. Merge again with a tool that reads the adapter as PEFT does, "
    "and verify again.",
    Verdict.BASE_UNCHANGED: "Do not ship this checkpoint: it is base. See that the merge was given this adapter, ran "
    "to its end, and saved the merged model and not the one that it had loaded.",
    Verdict.PARTIAL: "Do not ship this checkpoint. Mend what is listed, merge again from base, and verify again.",
    Verdict.LOST_TO_ROUNDING: "Merge and save in float32, or keep the adapter apart and load it beside base.",
    Verdict.INCOMPLETE: "The adapter is in. Put back what is listed, and verify again: nothing has to be merged anew.",
    Verdict.INCONCLUSIVE: "Do not take this for a pass. Mend what is listed and verify again, or compare the outputs "
    "of base with the adapter against those of the merged model.",
}
"""The next step."""

AFTER_ADAPTER: Mapping[Verdict, str] = {
    Verdict.PARTIAL: "Do not merge this adapter onto this base. Mend what is listed, or give the base that it was "
    "trained on.",
    Verdict.INCONCLUSIVE: "Do not take this for a fit. Mend what is listed and verify again.",
}
"""The next step where an adapter was looked at alone, where it is another."""

AFTER_WARNINGS = "Nothing has to be merged again. Read the warnings: each says what may matter to you."

KINDS: Mapping[str, Meaning] = {
    "delta_missing": Meaning(
        "{count} adapted {weights} {are} still base's",
        "adapted",
        "The merge left these weights as base has them. Read its log for modules that it skipped, and merge with a "
        "version that knows this architecture; where a whole shard is base's, it was copied and not written.",
    ),
    "delta_wrong_packing": Meaning(
        "{count} expert {weights} {have} the delta of another packing",
        "experts",
        "Merge again with a tool that reads lora_B of fused experts as PEFT does (rank-major): expert e owns columns "
        "e::E. Where adapter_config.json has a lora_B_layout, the merge must follow that.",
    ),
    "delta_wrong_layout": Meaning(
        "{count} expert {weights} {have} the delta of another layout",
        "experts",
        "Merge again with the version of PEFT that saved the adapter: between 0.18 and 0.19 the factors of fused "
        "experts exchanged their input and output axes.",
    ),
    "delta_wrong_scale": Meaning(
        "{count} adapted {weights} {have} the delta times a wrong number",
        "adapted",
        "Compare lora_alpha, r, use_rslora, rank_pattern and alpha_pattern of adapter_config.json with what the merge "
        "used: the factor is lora_alpha / r, and with rsLoRA lora_alpha / sqrt(r).",
    ),
    "delta_wrong_sign": Meaning(
        "{count} adapted {weights} {have} the delta subtracted",
        "adapted",
        "The delta was subtracted, as when an adapter is unmerged that was never merged. Merge again from base.",
    ),
    "delta_applied_twice": Meaning(
        "{count} adapted {weights} {have} the delta twice",
        "adapted",
        "The adapter was merged into weights that held it already. Merge again, starting from base itself.",
    ),
    "delta_wrong_values": Meaning(
        "{count} adapted {weights} {are} neither base's nor as the adapter says",
        "adapted",
        "See that base and adapter are the very ones that were merged (revision, training step), and that nothing was "
        "trained, quantised or converted afterwards. If they are, the merge computes something else: merge again with "
        "PEFT's own merge_and_unload and compare.",
    ),
    "experts_permuted": Meaning(
        "{count} expert {weights} {have} another expert's delta",
        "experts",
        "The merge counted experts in another order than the adapter. Look for names sorted as text, where 10 comes "
        "before 2, and merge again.",
    ),
    "gate_up_swapped": Meaning(
        "{count} expert {weights} {have} the delta of gate and up exchanged",
        "experts",
        "Merge again with a tool that splits gate_up_proj as this family does: gate's half first in most, taking turns "
        "in gpt-oss.",
    ),
    "lost_to_rounding": Meaning(
        "{count} adapted {weights} lost some or all of the delta to rounding",
        "adapted",
        "The stored dtype is too coarse for so small a change. Merge and save in float32, or keep the adapter apart "
        "and load it beside base.",
    ),
    "merge_rounding": Meaning(
        "{count} adapted {weights} {are} less exact than a merge in float32",
        "adapted",
        "The merge multiplied in less than float32 (TF32, or the factors' own dtype). To be rid of it, merge in "
        "float32 with TF32 turned off.",
    ),
    "passthrough_changed": Meaning(
        "{count} {weights} that the adapter does not touch changed",
        "others",
        "See that base is the very revision that was merged into. If it is, something else was trained, converted or "
        "damaged there: take these tensors from base.",
    ),
    "tensor_missing": Meaning(
        "{count} {weights} {are} missing",
        "",
        "Save these tensors too: a loader refuses such a checkpoint, or fills them at random.",
    ),
    "tensor_unexpected": Meaning(
        "{count} {weights} {are} not in base",
        "",
        "Base has no such tensors, and a loader refuses or ignores them. Leave them out, or give the base that "
        "has them.",
    ),
    "tensor_duplicated": Meaning(
        "{count} {weights} {are} stored more than once",
        "",
        "It depends on the loader which copy counts. Save into an empty directory, so that no older file is left.",
    ),
    "shape_mismatch": Meaning(
        "{count} {weights} {have} another shape than in base",
        "",
        "See that base is the one that was merged into. A vocabulary that was resized must be resized in base too, and "
        "some tools write matrices transposed.",
    ),
    "dtype_changed": Meaning(
        "{count} {weights} {have} another dtype than in base",
        "",
        "Save in base's dtype; if another is meant, save every tensor in it and let dtype in config.json say so.",
    ),
    "non_finite": Meaning(
        "{count} {weights} {have} NaN or infinities",
        "",
        "Do not ship this checkpoint. Look for NaN in the adapter first, then at the merge's dtype: float16 ends "
        "at 65504.",
    ),
    "adapter_key_unmatched": Meaning(
        "{count} {weights} of the adapter {have} no place",
        "",
        "Compare these names with base's modules: PEFT wants base_model.model. before them and .weight behind, and "
        "names experts as the transformers of its day did (fused in 5, one by one in 4).",
    ),
    "adapter_unsupported": Meaning(
        "the adapter is of a kind whose merge cannot be told from its files",
        "",
        "Convert it to plain LoRA when saving (for PiSSA, OLoRA and CorDA PEFT's save_pretrained takes "
        "path_initial_model_for_weight_conversion), and verify that one; what cannot be converted is checked "
        "by outputs.",
    ),
    "adapter_incomplete": Meaning(
        "the adapter's file lacks factors that its configuration names",
        "",
        "Save the adapter again from the trained model: what the file lacks is not merged by anybody.",
    ),
    "adapter_key_wrapped": Meaning(
        "the adapter was saved through a wrapper",
        "",
        "Take parallel, compiled and outer PEFT wrappers off before save_pretrained: stock PEFT drops such names "
        "without a word.",
    ),
    "modules_to_save_lost": Meaning(
        "{count} {weights} that the adapter holds in full {are} not in",
        "",
        "The adapter holds these weights in full (modules_to_save, biases, embeddings). A merge of factors alone "
        "leaves them out; PEFT's merge_and_unload puts them in place.",
    ),
    "tied_weights_broken": Meaning(
        "embedding and head are no longer tied as in base",
        "",
        "Where one stored tensor is embedding and head, it cannot hold a delta of only one of them: untie them before "
        "training (tie_word_embeddings=False), or adapt neither.",
    ),
    "config_mismatch": Meaning(
        "a configuration says something else",
        "",
        "Set the field as base and the training had it, unless it was changed on purpose: a reload computes with what "
        "the file says.",
    ),
    "generation_config_missing": Meaning(
        "generation_config.json is missing",
        "",
        "Copy generation_config.json from base: without it a reload samples otherwise, and stops at other tokens.",
    ),
    "generation_config_changed": Meaning(
        "generation_config.json says something else",
        "",
        "Copy generation_config.json from base, unless it was changed on purpose.",
    ),
    "tokenizer_changed": Meaning(
        "the tokenizer is not base's",
        "",
        "Save the tokenizer that was trained with beside the weights: with another one the same text is other tokens.",
    ),
    "index_mismatch": Meaning(
        "the index and the files beside it do not agree",
        "",
        "Save into an empty directory, so that index and shards are of one saving, and nothing else lies beside them.",
    ),
    "ambiguous_layout": Meaning(
        "the files fit more than one way to read the adapter",
        "",
        "Say in adapter_config.json what is meant, peft_version (of the PEFT that saved it) or lora_B_layout, and "
        "verify again.",
    ),
    "quantised_weights": Meaning(
        "weights are quantised",
        "",
        "Verify against weights that are not quantised: base dequantised as the merge had it, and a merged checkpoint "
        "saved in 16 or 32 bits.",
    ),
    "family_unknown": Meaning(
        "there are no naming rules for this model_type",
        "",
        "Add a row for it to harness/verify/families.toml, or ask for one: until then names that are spelt in two ways "
        "cannot be paired.",
    ),
    "b_all_zero": Meaning(
        "{count} {weights} {have} a lora_B of zeros",
        "",
        "Nothing was trained there (experts that no token reached, frozen modules, or an adapter saved before its "
        "first step), so a merge changes nothing.",
    ),
}
"""Every kind that the verifier has; a test finds those that it has not."""


def next_step(report: VerifyReport) -> str:
    """What to do now."""
    if report.verdict is Verdict.CONTAINS and any(finding.severity == "warning" for finding in report.findings):
        return AFTER_WARNINGS
    of_adapter = AFTER_ADAPTER.get(report.verdict) if report.merged is None else None
    return of_adapter or AFTER[report.verdict]


def advice(kind: str) -> str:
    """What to do about a kind; empty for one that is not known here."""
    return KINDS[kind].advice if kind in KINDS else ""
