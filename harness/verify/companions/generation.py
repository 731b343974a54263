"""generation_config.json of two checkpoints: missing, or with fields that generation would feel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.verify.companions.folder import Folder
from harness.verify.companions.token_ids import gravity, normal_ids
from harness.verify.companions.values import ABSENT, changed, plain, same, shown
from harness.verify.records import Finding

FILE = "generation_config.json"
IGNORED = {
    "transformers_version", "_from_model_config", "_commit_hash", "output_attentions", "output_hidden_states",
    "output_scores", "output_logits", "return_dict_in_generate", "return_legacy_cache", "use_cache", "compile_config",
    "disable_compile", "prefill_chunk_size", "continuous_batching_config", "low_memory",
}  # fmt: skip
"""Who wrote it, what a call returns beside the text, and how it computes the same text."""
DEFAULTS: Mapping[str, Any] = {
    "max_length": 20, "min_length": 0, "do_sample": False, "early_stopping": False, "num_beams": 1, "temperature": 1.0,
    "top_k": 50, "top_p": 1.0, "typical_p": 1.0, "repetition_penalty": 1.0, "length_penalty": 1.0,
    "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0, "num_return_sequences": 1,
    "remove_invalid_values": False, "renormalize_logits": False, "epsilon_cutoff": 0.0, "eta_cutoff": 0.0,
    "encoder_repetition_penalty": 1.0, "num_assistant_tokens": 20, "num_assistant_tokens_schedule": "constant",
    "assistant_confidence_threshold": 0.4, "assistant_lookbehind": 10, "target_lookbehind": 10, "num_beam_groups": 1,
    "diversity_penalty": 0.0, "is_assistant": False, "token_healing": False,
}  # fmt: skip
"""What a field means that is not stated, or null: transformers 5.23.0, generation/configuration_utils.py,
`_get_default_generation_params`, and the signature of 4.57.6's. Every other field means null."""


def compare_generation(base: Folder, merged: Folder) -> tuple[Finding, ...]:
    """What generation after a reload would do otherwise. Nothing is owed if base has no generation configuration."""
    if FILE not in base:
        merged.table(FILE)  # a malformed one is refused all the same
        return ()
    before, after = base.table(FILE), merged.table(FILE)
    if FILE not in merged:
        message = f"{FILE} is missing: generation falls back to greedy decoding and the ids of config.json"
        finding = Finding(
            kind="generation_config_missing",
            severity="error",
            message=message,
            expected=shown(before),
            got="no such file",
        )
        return (finding,)
    names = sorted((before.keys() | after.keys()) - IGNORED)
    return tuple(_changed(name, before, after) for name in names if not same(_value(name, before), _value(name, after)))


def _value(name: str, stated: Mapping[str, Any]) -> Any:
    value = normal_ids(name, stated.get(name))
    return DEFAULTS.get(name) if value is None else value


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Finding:
    severity, why = gravity(name, before.get(name), after.get(name))
    old, new = (shown(stated[name]) if name in stated else _unstated(name) for stated in (before, after))
    return changed("generation_config_changed", f"{plain(name)} of {FILE}", old, new, severity=severity, why=why)


def _unstated(name: str) -> str:
    return f"{ABSENT} (by default {shown(DEFAULTS[name])})" if name in DEFAULTS else ABSENT
