"""What to do about a cause: one sentence a kind, for the people who read the report."""

from __future__ import annotations

ADVICE = {
    "crashed": "Read the traceback; if another row does the same without crashing, compare the packages that differ.",
    "config_changed": "The field moved or changed its name between versions: compare config.json as written with what "
    "the reader's version expects. Write it in the reader's spelling, or reload with the writer's version.",
    "keys_missing": "The reader does not know these tensors' names or layout, and fills them at random. Save in "
    "the original format, or reload with the writer's version.",
    "keys_unexpected": "The checkpoint holds tensors that the reader ignores: their training is lost on reload.",
    "keys_mismatched": "Shapes differ between checkpoint and model: compare the configurations.",
    "delta_missing": "The weights are base's: the adapter was not applied there. Do not ship this checkpoint.",
    "delta_wrong_values": "Something was applied that is not the trained delta: suspect layout, packing or order.",
    "delta_wrong_packing": "lora_B was unpacked with experts and ranks exchanged. Merge with a version that reads it "
    "as the one that trained does.",
    "delta_wrong_layout": "in and out features were exchanged between versions of PEFT (0.18 against 0.19 and later). "
    "Reload with the version that saved, or convert the adapter.",
    "delta_wrong_scale": "The delta was multiplied by the wrong number: compare alpha, rank and rsLoRA.",
    "delta_wrong_sign": "The delta was subtracted.",
    "delta_applied_twice": "The delta was merged twice: suspect an adapter applied to a merged checkpoint.",
    "shape_mismatch": "A tensor has another shape than base's: compare the configurations, and how experts are fused.",
    "non_finite": "The weights hold NaN or infinities. Do not ship this checkpoint; look at the losses.",
    "passthrough_changed": "A tensor that was not adapted changed: compare it with base.",
    "tied_weights_broken": "One stored tensor is embedding and head, and cannot hold a delta of only one of them. "
    "Untie before training (tie_word_embeddings=False), or do not adapt the head.",
    "tensor_missing": "Do not ship this checkpoint: tensors were not saved.",
    "tensor_unexpected": "The checkpoint holds tensors that base does not have.",
    "coverage_lost": "Nothing was trained there, so no round trip can show it. Name the expert parameters in "
    "target_parameters, and the other modules by their full suffix.",
    "coverage_extra": "More was adapted than asked for: make the targets more specific.",
    "loss_wrong": "The loss is divided by another number, or of other labels, than one thinks: compare it with the "
    "cross-entropy of the base model. Adam hides its scale; clipping and comparisons do not.",
    "steps_lost": "Count optimiser steps: suspect gradient accumulation, or steps whose loss is not a number.",
    "delta_untrained": "No gradient, or no learning rate, came there: suspect the optimiser's groups, requires_grad, "
    "and wrapped modules that the forward pass goes around.",
    "initialisation_wrong": "Fans were taken of a stacked or packed array: draw each layer's factor alone.",
    "cache_kept": "Drop keys and values in training: nothing reads them.",
    "decoding_differs": "Suspect position ids, the side of the padding and the cache: training saw all tokens in one "
    "pass.",
    "evaluation_random": "Something random is left on in evaluation: suspect dropout that does not ask for the mode.",
    "samples_repeated": "Every row needs random numbers of its own: split the seed by row.",
    "generation_config_changed": "Save the generation settings as base has them: else a reload samples and stops "
    "otherwise.",
    "generation_config_missing": "Without it a reload stops at other tokens: save model.generation_config too.",
    "file_missing": "Save it beside the weights: without it the form cannot be reloaded as it was.",
    "tokenizer_changed": "Save the tokenizer too: without it a reload cannot make the tokens that were trained on.",
    "logits_not_finite": "The model computes no numbers though its weights are: look at the first stage that diverges.",
    "logits_differ": "The weights agree and the outputs do not: look at the first stage that diverges.",
    "samples_differ": "Look at the first token that differs and how near its runner-up was.",
    "index_mismatch": "Loaders do not agree which file counts. Save into an empty folder, and write the index anew.",
    "tensor_duplicated": "Loaders take one or the other: save each tensor once, under one name.",
    "file_unreadable": "No loader can read what was saved: look for a save that was cut short, and save it again.",
    "dtype_changed": "Save in the dtype that base has: memory, speed and rounding are others than config.json says.",
    "no_signal": "Nothing was learnt that a fault could destroy: train longer, or with a higher learning rate.",
    "artifact_changed": "Files are not as the stack wrote them. Find out who changed them; delete the write's folder "
    "and run again to have them written anew.",
    "not_measured": "Read the check's reason: what was to be compared is not there.",
    "not_written": "There is nothing to read: look at the write's own result.",
    "not_run": "Read the end of the log: the process ended, or what this needs was never written. Run it again.",
    "unreadable": "What the cell left cannot be read: remove that folder and run again.",
}


def what_to_do(cause: str) -> str:
    """The advice for each kind that a cause signature names, each once."""
    kinds = [part.split(" ", 1)[0] for part in cause.split("; ") if part]
    return " ".join(ADVICE[kind] for kind in dict.fromkeys(kinds) if kind in ADVICE)
