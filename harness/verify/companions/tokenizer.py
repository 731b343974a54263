"""The tokenizers of two checkpoints: whether a text becomes the same tokens, and a conversation the same text.

Owns how grave a difference is. Where both have tokenizer.json, the files that slow tokenizers read are redundant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.verify.companions.folder import LARGE, Folder, same_content
from harness.verify.companions.tokenizer_files import (
    CONFIG,
    FILES,
    MERGES,
    PIPELINE,
    SENTENCE_PIECE,
    VOCABULARY,
    Tokenizer,
    read_tokenizer,
)
from harness.verify.companions.tokenizer_json import compare_pipelines, vocabulary
from harness.verify.companions.values import ABSENT, changed, named, plain, same, shown
from harness.verify.records import Finding, Severity

KIND = "tokenizer_changed"
GENERIC_CLASSES = ("", "PreTrainedTokenizer", "TokenizersBackend")
"""Classes that take everything from tokenizer.json; the last is what transformers 5 calls the first two."""
IGNORED = {
    "tokenizer_class", "name_or_path", "transformers_version", "processor_class", "tokenizer_file", "vocab_file",
    "merges_file", "special_tokens_map_file", "added_tokens_file", "init_inputs", "backend", "is_local", "files_loaded",
    "local_files_only", "from_slow", "use_fast", "trust_remote_code", "device_map", "verbose", "auto_map", "max_length",
    "stride", "truncation_strategy", "padding", "padding_strategy", "pad_to_multiple_of", "pad_token_type_id",
    "pad_token_id", "use_default_system_prompt", "unk_token_id", "tokenizer_type",
}  # fmt: skip
"""Where it came from, who wrote it, and how the last batch was cut and filled up."""
SLOW_ONLY = {"legacy", "sp_model_kwargs", "spaces_between_special_tokens", "errors"}
"""What tokenizer.json says itself, where there is one."""
SWITCHES = {"add_bos_token", "add_eos_token"}
"""tokenizer.json says them too: transformers 5 takes them out on loading, and so no longer writes them. Where both
sides state one with different values, transformers 4 goes by it."""
DEFAULTS: Mapping[str, Any] = {
    "add_prefix_space": False, "clean_up_tokenization_spaces": False, "split_special_tokens": False,
    "errors": "replace", "padding_side": "right", "truncation_side": "right", "model_max_length": 10**30,
    "sp_model_kwargs": {}, "do_lower_case": False,
}  # fmt: skip
"""transformers 5.23.0, tokenization_utils_base.py. An infinite length is written as the integer nearest to 1e30."""
OF_BATCHES = {"padding_side", "truncation_side", "model_max_length", "model_input_names"}
"""How batches are filled up and cut: which tokens a text becomes is the same. Trainers and their users set these."""
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


def compare_tokenizers(base: Folder, merged: Folder) -> tuple[Finding, ...]:
    """What a reload's tokenizer would do otherwise. Nothing is owed if base has none."""
    found: list[Finding] = []
    if not any(name in base for name in FILES):
        read_tokenizer(merged)  # a malformed one is refused all the same
        return ()
    if not any(name in merged for name in FILES):
        text = f"the tokenizer is missing: base has {named(name for name in FILES if name in base)}"
        return (Finding(kind=KIND, severity="error", message=text, expected="a tokenizer", got="no file of one"),)
    equal = PIPELINE in base and PIPELINE in merged and same_content(base, merged, PIPELINE)
    before = read_tokenizer(base)
    after = read_tokenizer(merged, pipeline=before.pipeline if equal else None)
    found += _missing_files(before, after)
    if not equal:
        found += _pipelines(base, merged, before, after)
    found += _contents(base, merged, before, after)
    found += _added(before, after)
    found += _named_tokens(before, after)
    found += _fields(before, after)
    found += _templates(before.templates, after.templates)
    return (*found, *_processors(base, merged))


def _missing_files(before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    for name in (PIPELINE, CONFIG):
        if name in before.files and name not in after.files:
            yield _finding(f"{name} is missing", expected=name, got="no such file")


def _pipelines(base: Folder, merged: Folder, before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    if PIPELINE not in after.files:
        return  # said already
    if PIPELINE not in before.files:
        yield from _made_from_slow(base, after)
        return
    for difference in compare_pipelines(before.pipeline, after.pipeline):
        # What transformers 5 wrote on both sides, it should have written alike.
        softened = difference.by_class and _is_rebuilt(after) and not _is_rebuilt(before)
        why = f"transformers 5 sets it up for {plain(after.class_name)}; 4 reads it from the file" if softened else ""
        severity: Severity = "warning" if softened else "error"
        place = f"{difference.what} of {PIPELINE}"
        yield changed(KIND, place, difference.before, difference.after, severity=severity, why=why)


def _is_rebuilt(tokenizer: Tokenizer) -> bool:
    """Whether transformers 5 has written it, and sets up its parts for a class of its own, whatever the file says."""
    return "backend" in tokenizer.fields and tokenizer.class_name not in GENERIC_CLASSES


def _made_from_slow(base: Folder, after: Tokenizer) -> Iterator[Finding]:
    """Base has the files of a slow tokenizer alone: what can be compared is the vocabulary."""
    if VOCABULARY not in base:
        text = f"merged has {PIPELINE}, and base only {named(name for name in FILES if name in base)}"
        yield _finding(f"{text}: whether they say the same cannot be told here", severity="warning")
        return
    old, new = base.table(VOCABULARY, LARGE), vocabulary(_table(after.pipeline.get("model")))
    if not same(old, new):
        yield _finding(f"{PIPELINE} has another vocabulary than {VOCABULARY} of base")


def _contents(base: Folder, merged: Folder, before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    """The files of slow tokenizers, where they count: both there, or no tokenizer.json in their place."""
    for name in SENTENCE_PIECE:
        if name in before.files and name in after.files and not same_content(base, merged, name):
            yield _finding(f"{name} has other bytes than that of base")
    if PIPELINE in before.files and PIPELINE in after.files:
        return
    for name in (VOCABULARY, MERGES, *SENTENCE_PIECE):
        if name in before.files and name not in after.files and PIPELINE not in after.files:
            yield _finding(f"{name} is missing", expected=name, got="no such file")
    both = before.files & after.files
    if VOCABULARY in both and not same(base.table(VOCABULARY, LARGE), merged.table(VOCABULARY, LARGE)):
        yield _finding(f"{VOCABULARY} has other tokens than that of base")
    if MERGES in both and _lines(base) != _lines(merged):
        yield _finding(f"{MERGES} has other merges than that of base")


def _lines(folder: Folder) -> list[str]:
    lines = folder.text(MERGES, LARGE).splitlines()
    return [line for line in lines if line and not line.startswith("#version")]


def _added(before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    """Tokens beside the vocabulary; their flags where both sides state them."""
    for number in sorted(before.added.keys() | after.added.keys()):
        old, new = before.added.get(number), after.added.get(number)
        if old is not None and new is not None and all(same(old[flag], new[flag]) for flag in old.keys() & new.keys()):
            continue
        one, other = (ABSENT if token is None else shown(token) for token in (old, new))
        # A class of its own has special tokens by default: transformers 5 adds them to base's tokenizer too.
        by_class = _is_rebuilt(after) and old is None and new is not None and new["content"] in after.tokens.values()
        yield changed(KIND, f"added token {number}", one, other, severity="warning" if by_class else "error")


def _named_tokens(before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    for name in sorted(before.tokens.keys() | after.tokens.keys()):
        old, new = before.tokens.get(name), after.tokens.get(name)
        if old == new:
            continue
        severity: Severity = "warning" if old is None else "error"
        why = "base leaves it unset, and texts become the same tokens" if old is None else ""
        one, other = (ABSENT if token is None else shown(token) for token in (old, new))
        yield changed(KIND, f"{plain(name)} of the tokenizer", one, other, severity=severity, why=why)
    # Those without names are special by their flags too, which are compared. transformers 5 gives names to some.
    every_old, every_new = (each.extra | set(each.tokens.values()) for each in (before, after))
    unlike = (before.extra - every_new) | (after.extra - every_old)
    if before.extra and after.extra and unlike:
        yield _finding(f"special tokens without names are not those of base: {named(unlike)}", severity="warning")


def _fields(before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    if CONFIG not in before.files & after.files:
        return
    yield from _classes(before, after)
    ignored = IGNORED | SLOW_ONLY if PIPELINE in before.files & after.files else IGNORED
    unknown = []
    for name in sorted((before.fields.keys() | after.fields.keys()) - ignored):
        old, new = (_field(name, each.fields) for each in (before, after))
        if same(old, new):
            continue
        if old is not None and new is not None:
            severity: Severity = "warning" if name in OF_BATCHES else "error"
            why = "which tokens a text becomes is the same" if name in OF_BATCHES else ""
            yield changed(KIND, f"{plain(name)} of {CONFIG}", shown(old), shown(new), severity=severity, why=why)
        elif name not in SWITCHES | OF_BATCHES:
            unknown.append(name)
    if unknown:
        text = f"{CONFIG}: {named(unknown)}: only one side states it, and what leaving it out means is not known here"
        yield _finding(text, severity="warning")


def _field(name: str, fields: Mapping[str, Any]) -> Any:
    value = fields.get(name)
    if value is None:
        return DEFAULTS.get(name)
    return 10**30 if name == "model_max_length" and isinstance(value, int | float) and value >= 10**20 else value


def _classes(before: Tokenizer, after: Tokenizer) -> Iterator[Finding]:
    old, new = before.class_name, after.class_name
    if old == new or old in GENERIC_CLASSES or new in GENERIC_CLASSES:
        return
    text = "classes of their own set up parts of a tokenizer themselves"
    place = f"tokenizer_class of {CONFIG}"
    yield changed(KIND, place, shown(old), shown(new), severity="warning", why=text)


def _templates(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        place = "the chat template" if name == "default" else f"the chat template {plain(name)}"
        if old is None:
            why = "base has none, so that nothing is lost"
            yield changed(KIND, place, ABSENT, shown(new), severity="warning", why=why)
        else:
            yield changed(KIND, place, shown(old), ABSENT if new is None else shown(new))


def _processors(base: Folder, merged: Folder) -> Iterator[Finding]:
    """transformers 5 writes the settings of images into the second of these files, and 4 into the first."""
    if any(name in base for name in PROCESSORS) and not any(name in merged for name in PROCESSORS):
        text = f"{named(name for name in PROCESSORS if name in base)} is missing: images and sounds cannot be prepared"
        yield _finding(text, severity="warning")


def _finding(message: str, *, severity: Severity = "error", expected: str = "", got: str = "") -> Finding:
    return Finding(kind=KIND, severity=severity, message=message, expected=expected, got=got)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
