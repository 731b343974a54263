"""tokenizer.json, the file of the tokenizers library, without what changes no token: two of them compared.

Owns which settings of its parts make no difference to the ids of a text, or to the text of ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

from harness.verify.companions.values import named, plain, same, shown

STATE = ("version", "truncation", "padding")
"""How the last batch was cut and filled up: tokenizers are told anew with every call."""
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
MODEL_DEFAULTS: Mapping[str, Any] = {
    "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False,
    "byte_fallback": False, "ignore_merges": False,
}  # fmt: skip
"""Of models/bpe in the tokenizers library; of the two affixes, none and an empty one do the same."""


class Difference(NamedTuple):
    """One part of two tokenizer.json that is not the same."""

    what: str
    before: str
    after: str
    by_class: bool
    """Whether transformers 5 sets this part up itself for tokenizers that have a class of their own."""


def compare_pipelines(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """What two tokenizer.json do differently; added tokens are compared elsewhere, with what other files say."""
    old_model, new_model = (_table(pipeline.get("model")) for pipeline in (before, after))
    yield from _compare_vocabularies(vocabulary(old_model), vocabulary(new_model))
    yield from _compare_merges(old_model.get("merges"), new_model.get("merges"))
    old_rest, new_rest = _settings(old_model), _settings(new_model)
    for name in sorted(old_rest.keys() | new_rest.keys()):
        if not same(old_rest.get(name), new_rest.get(name)):
            yield Difference(
                f"model's {plain(name)}", shown(old_rest.get(name)), shown(new_rest.get(name)), name == "unk_token"
            )
    for name in PARTS:
        old, new = (simplified(name, pipeline.get(name)) for pipeline in (before, after))
        if not same(old, new):
            yield Difference(name, shown(old), shown(new), True)
    known = {"model", "added_tokens", *STATE, *PARTS}
    for name in sorted((before.keys() | after.keys()) - known):
        if not same(before.get(name), after.get(name)):
            yield Difference(plain(name), shown(before.get(name)), shown(after.get(name)), False)


def vocabulary(model: Mapping[str, Any]) -> dict[str, Any]:
    """Token to id, or to id and score where the model is a list of both."""
    tokens = model.get("vocab")
    if isinstance(tokens, Mapping):
        return dict(tokens)
    pairs = tokens if isinstance(tokens, list) else []
    return {str(pair[0]): [number, *pair[1:]] for number, pair in enumerate(pairs) if isinstance(pair, list) and pair}


def _compare_vocabularies(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    if before == after:
        return
    lost = [token for token in before if token not in after]
    added = [token for token in after if token not in before]
    moved = [token for token, number in before.items() if token in after and not same(number, after[token])]
    for verb, tokens in (("lost", lost), ("added", added), ("renumbered", moved)):
        if tokens:
            what = f"vocabulary: {len(tokens)} tokens {verb} ({named(tokens)})"
            yield Difference(what, f"{len(before)} tokens", f"{len(after)} tokens", False)


def _compare_merges(before: Any, after: Any) -> Iterator[Difference]:
    old, new = (merges if isinstance(merges, list) else [] for merges in (before, after))
    for number, (first, second) in enumerate(zip_longest(old, new)):
        if first != second and _pair(first) != _pair(second):  # half a million of them
            yield Difference(f"merges, from number {number}", shown(first), shown(second), False)
            return


def _pair(merge: Any) -> Any:
    """Until version 0.20 of the library the two halves stood in one text."""
    return merge.split(" ") if isinstance(merge, str) else merge


def _settings(model: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in model.items() if name not in ("vocab", "merges")}
    if rest.get("type") in (None, "BPE"):
        rest = {**MODEL_DEFAULTS, **{name: value for name, value in rest.items() if value is not None}}
    return rest


def simplified(part: str, value: Any) -> Any:
    """A part of the pipeline without settings that change no token; None if it does nothing."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("type")
    if kind == "Sequence":
        return _simplified_sequence(part, value)
    if kind == "ByteLevel":
        return _simplified_byte_level(part, value)
    if kind == "Metaspace":
        return _simplified_metaspace(part, value)
    if kind == "TemplateProcessing":
        alone = not value.get("special_tokens") and len(_list(value.get("single"))) == 1
        return None if alone and len(_list(value.get("pair"))) in (0, 2) else dict(value)
    return dict(value)


def _simplified_sequence(part: str, value: Mapping[str, Any]) -> Any:
    for name, items in value.items():
        if isinstance(items, list):
            kept = [item for item in (simplified(part, item) for item in items) if item is not None]
            if len(kept) < 2:
                return kept[0] if kept else None
            return {**value, name: kept}
    return dict(value)


def _simplified_byte_level(part: str, value: Mapping[str, Any]) -> Any:
    """trim_offsets moves positions alone; a decoder looks at none of the settings, a post-processor adds no token."""
    if part == "post_processor":
        return None
    if part == "decoder":
        return {"type": "ByteLevel"}
    stated = {name: setting for name, setting in value.items() if name != "trim_offsets"}
    return {"add_prefix_space": True, "use_regex": True, **stated}


def _simplified_metaspace(part: str, value: Mapping[str, Any]) -> Any:
    """Until version 0.15 of the library a flag said what the scheme says now."""
    stated = {name: setting for name, setting in value.items() if name not in ("add_prefix_space", "str_rep")}
    if "prepend_scheme" not in stated:
        stated["prepend_scheme"] = "always" if value.get("add_prefix_space", True) else "never"
    if part == "decoder":
        stated.pop("split", None)
        return stated
    return {"split": True, **stated}


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
