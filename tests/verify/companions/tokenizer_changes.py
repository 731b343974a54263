"""Changes to the files of a tokenizer: harmless ones, each with the nearest that does harm.

Most harmless changes here are those that loading and saving with transformers 4.57.6, 5.5.0 and 5.23.0 was seen to make
to tokenizers of the kinds of Qwen, Llama, DeepSeek, Mistral and Gemma (run 2026-11-21).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.verify.companions.builders import PIPELINE as TOKENIZER_JSON
from tests.verify.companions.builders import TEMPLATE, edit

Change = Callable[[Path], object]
VOCABULARY: dict[str, int] = TOKENIZER_JSON["model"]["vocab"]
PIPELINE, CONFIG, SPECIAL = "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"


def put(name: str, **fields: Any) -> Change:
    """Sets fields of a file."""
    return lambda directory: edit(directory / name, lambda content: content.update(fields))


def drop(name: str, *fields: str) -> Change:
    """Takes fields out of a file."""
    return lambda directory: edit(directory / name, lambda content: [content.pop(field) for field in fields])


def model(**fields: Any) -> Change:
    """Sets fields of the model in tokenizer.json."""
    return lambda directory: edit(directory / PIPELINE, lambda content: content["model"].update(fields))


def token(number: int, **fields: Any) -> Change:
    """Changes an added token of tokenizer.json."""
    return lambda directory: edit(directory / PIPELINE, lambda content: content["added_tokens"][number].update(fields))


def remove(*names: str) -> Change:
    """Removes files."""
    return lambda directory: [(directory / name).unlink() for name in names]


def add(name: str, text: str) -> Change:
    """Writes a file."""
    return lambda directory: (directory / name).write_text(text, encoding="utf-8")


def byte_level(**settings: Any) -> dict[str, Any]:
    """One part of a pipeline."""
    return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True, **settings}


def pipeline_of(pre_tokenizer: dict[str, Any]) -> Change:
    """The pre-tokenizer's second part replaced."""

    def change(content: dict[str, Any]) -> None:
        content["pre_tokenizer"]["pretokenizers"][1] = pre_tokenizer

    return lambda directory: edit(directory / PIPELINE, change)


def template_file(text: str = TEMPLATE) -> Change:
    """The chat template as a file of its own."""

    def change(directory: Path) -> None:
        drop(CONFIG, "chat_template")(directory)
        add("chat_template.jinja", text)(directory)

    return change


def every(*changes: Change) -> Change:
    """Several changes in turn."""
    return lambda directory: [change(directory) for change in changes]


NEWER = every(
    put(CONFIG, backend="tokenizers", is_local=True, local_files_only=True, extra_special_tokens=["<bos>", "<eos>"]),
    drop(CONFIG, "added_tokens_decoder", "additional_special_tokens", "add_bos_token"),
    remove(SPECIAL, "vocab.json", "merges.txt"),
)
"""What transformers 5 does to every tokenizer."""
METASPACE = {"type": "Metaspace", "replacement": "_", "prepend_scheme": "first", "split": False}

# A harmless change, and the nearest one that does harm.
PAIRS: dict[str, tuple[Change, Change]] = {
    "saved by transformers 5": (NEWER, every(NEWER, put(CONFIG, extra_special_tokens=[], eos_token="<bos>"))),
    "saved state": (
        put(PIPELINE, padding={"strategy": "BatchLongest"}, truncation={"max_length": 9}, version="1.1"),
        put(PIPELINE, normalizer={"type": "NFKC"}),
    ),
    "merges as lists": (model(merges=[["a", "b"], ["ab", "c"]]), model(merges=[["ab", "c"], ["a", "b"]])),
    "a merge lost": (model(ignore_merges=False), model(merges=["a b"])),
    "settings of the model": (
        model(ignore_merges=False, continuing_subword_prefix="", end_of_word_suffix=""),
        model(ignore_merges=True),
    ),
    "order of the vocabulary": (
        model(vocab=dict(reversed(VOCABULARY.items()))),
        model(vocab={**VOCABULARY, "ab": 7, "abc": 6}),
    ),
    "positions of the pre-tokenizer": (
        pipeline_of(byte_level(add_prefix_space=False, use_regex=False)),
        pipeline_of(byte_level(use_regex=False)),
    ),
    "settings of the decoder": (put(PIPELINE, decoder=byte_level()), put(PIPELINE, decoder=None)),
    "settings of the post-processor": (
        put(PIPELINE, post_processor={"type": "Sequence", "processors": [byte_level()]}),
        put(PIPELINE, post_processor={"type": "TemplateProcessing", "single": [1, 2], "special_tokens": {"<bos>": 1}}),
    ),
    "a normaliser that does nothing": (
        put(PIPELINE, normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}]}),
        put(PIPELINE, normalizer={"type": "Sequence", "normalizers": []}),
    ),
    "an added token's place": (
        lambda directory: edit(directory / PIPELINE, lambda content: content["added_tokens"].reverse()),
        token(1, normalized=True),
    ),
    "a token that is no longer special": (token(1, special=True), token(1, special=False)),
    "an added token more": (
        put("special_tokens_map.json", mask_token="<pad>"),
        lambda directory: edit(
            directory / PIPELINE, lambda content: content["added_tokens"].append({"id": 9, "content": "<x>"})
        ),
    ),
    "the class's name": (
        put(CONFIG, tokenizer_class="Qwen2TokenizerFast"),
        every(put(CONFIG, tokenizer_class="LlamaTokenizer"), model(unk_token="a")),
    ),
    "a special token as a table": (
        put(CONFIG, eos_token={"__type": "AddedToken", "content": "<eos>", "normalized": True}),
        put(CONFIG, eos_token={"__type": "AddedToken", "content": "<pad>", "normalized": False}),
    ),
    "special tokens only in their map": (
        every(drop(CONFIG, "added_tokens_decoder", "eos_token")),
        every(drop(CONFIG, "added_tokens_decoder", "eos_token"), remove(SPECIAL)),
    ),
    "switches that tokenizer.json says": (drop(CONFIG, "add_bos_token"), put(CONFIG, add_bos_token=True)),
    "defaults left out": (
        drop(CONFIG, "clean_up_tokenization_spaces", "errors", "padding_side"),
        put(CONFIG, clean_up_tokenization_spaces=True),
    ),
    "defaults stated": (
        put(CONFIG, split_special_tokens=False, add_prefix_space=None),
        put(CONFIG, add_prefix_space=True),
    ),
    "who saved it": (
        put(CONFIG, name_or_path="x", processor_class="P", max_length=4, truncation_strategy="longest_first"),
        put(CONFIG, do_lower_case=True),
    ),
    "template as a file": (template_file(), template_file(TEMPLATE + "x")),
    "template with a last line end": (template_file(TEMPLATE + "\n"), template_file("")),
    "template in a list": (
        put(CONFIG, chat_template=[{"name": "default", "template": TEMPLATE}]),
        put(CONFIG, chat_template=[{"name": "tool_use", "template": TEMPLATE}]),
    ),
    "template of a processor": (
        every(drop(CONFIG, "chat_template"), add("chat_template.json", json.dumps({"chat_template": TEMPLATE}))),
        drop(CONFIG, "chat_template"),
    ),
    "files of slow tokenizers": (remove("vocab.json", "merges.txt"), remove(PIPELINE)),
    "other merges of slow tokenizers": (add("merges.txt", "a b\n"), remove(CONFIG)),
    "other files": (add("notes.txt", "x"), remove(PIPELINE, CONFIG, SPECIAL, "vocab.json", "merges.txt")),
}  # fmt: skip
