"""A directory's tokenizer, gathered from all of its files as transformers' loading gathers it.

transformers 4.57.6 and 5.23.0, tokenization_utils_base.py, `_from_pretrained`. Compares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import ArtifactError
from harness.verify.companions.folder import LARGE, Folder

PIPELINE, CONFIG, SPECIAL, ADDED = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
VOCABULARY, MERGES = "vocab.json", "merges.txt"
SENTENCE_PIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model.v3", "tekken.json")
TEMPLATE, TEMPLATE_OF_PROCESSORS, TEMPLATES = "chat_template.jinja", "chat_template.json", "additional_chat_templates"
FILES = (PIPELINE, CONFIG, SPECIAL, ADDED, VOCABULARY, MERGES, *SENTENCE_PIECE)
FLAGS = ("special", "lstrip", "rstrip", "normalized", "single_word")
EXTRA = ("additional_special_tokens", "extra_special_tokens")
"""What transformers 4 and 5 call the special tokens that have no name; 5 also takes names with them, as a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenizer:
    """What all files of a directory say together."""

    files: frozenset[str]
    """Those of `FILES` that are there."""
    pipeline: Mapping[str, Any]
    """tokenizer.json."""
    added: Mapping[int, Mapping[str, Any]]
    """By id: content and flags of tokens that stand beside the vocabulary."""
    tokens: Mapping[str, str]
    """By name (`eos_token`): the special tokens."""
    extra: frozenset[str]
    """Special tokens without names."""
    fields: Mapping[str, Any]
    """The rest of tokenizer_config.json."""
    templates: Mapping[str, str]
    """Chat templates by name; `default` is the one."""

    @property
    def class_name(self) -> str:
        """Without the ending that transformers 4 gives to those of the tokenizers library."""
        return str(self.fields.get("tokenizer_class") or "").removesuffix("Fast")


def read_tokenizer(folder: Folder, *, pipeline: Mapping[str, Any] | None = None) -> Tokenizer:
    """The tokenizer in `folder`. `pipeline`: its tokenizer.json, if it has been read.

    Raises ArtifactError if a file of it is malformed.
    """
    config = folder.table(CONFIG)
    pipeline = folder.table(PIPELINE, LARGE) if pipeline is None else pipeline
    special = folder.table(SPECIAL)
    # A configuration that lists the added tokens is complete: then special_tokens_map.json is not read.
    tokens, extra, fields = _special_tokens(config if "added_tokens_decoder" in config else {**config, **special})
    return Tokenizer(
        files=frozenset(name for name in FILES if name in folder),
        pipeline=pipeline,
        added=_added_tokens(folder, pipeline, config),
        tokens=tokens,
        extra=extra,
        fields=fields,
        templates=_templates(folder, config),
    )


def _special_tokens(stated: Mapping[str, Any]) -> tuple[dict[str, str], frozenset[str], dict[str, Any]]:
    """Named special tokens, those without a name, and all other fields."""
    tokens: dict[str, str] = {}
    extra: set[str] = set()
    fields: dict[str, Any] = {}
    for name, value in stated.items():
        if name in (*EXTRA, "model_specific_special_tokens"):
            if isinstance(value, Mapping):
                tokens |= {str(key): text for key, item in value.items() if (text := _content(item)) is not None}
            elif isinstance(value, list):
                extra |= {text for item in value if (text := _content(item)) is not None}
        elif name.endswith("_token") and not isinstance(value, bool):  # add_bos_token is a switch
            if (text := _content(value)) is not None:
                tokens[name] = text
        elif name not in ("added_tokens_decoder", "chat_template"):
            fields[name] = value
    return tokens, frozenset(extra), fields


def _content(token: Any) -> str | None:
    """A token is its text, or a table of its text and flags, which the added tokens have too."""
    content = token.get("content") if isinstance(token, Mapping) else token
    return content if isinstance(content, str) else None


def _added_tokens(
    folder: Folder, pipeline: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[int, Mapping[str, Any]]:
    """From all places that list them; tokenizer.json knows best, added_tokens.json has no flags."""
    where = str(folder.path)
    found: dict[int, Mapping[str, Any]] = {}
    for content, number in folder.table(ADDED).items():
        found[_id(number, where)] = {"content": content}
    decoder = config.get("added_tokens_decoder")
    for number, token in decoder.items() if isinstance(decoder, Mapping) else ():
        found[_id(number, where)] = _flags(token, where)
    listed = pipeline.get("added_tokens")
    for token in listed if isinstance(listed, list) else ():
        found[_id(token.get("id") if isinstance(token, Mapping) else None, where)] = _flags(token, where)
    return found


def _id(number: Any, where: str) -> int:
    if isinstance(number, str) and number.isascii() and number.isdecimal() and len(number) < 20:
        return int(number)
    if type(number) is not int:
        raise ArtifactError("an added token has no id", where=where, got=repr(number)[:40])
    return number


def _flags(token: Any, where: str) -> dict[str, Any]:
    if not isinstance(token, Mapping) or _content(token) is None:
        raise ArtifactError("an added token has no content", where=where)
    return {"content": token["content"], **{flag: bool(token.get(flag)) for flag in FLAGS}}


def _templates(folder: Folder, config: Mapping[str, Any]) -> dict[str, str]:
    """Files go before the field of the configuration; all of them are the same text wherever they stand."""
    found: dict[str, str] = {}
    legacy = folder.table(TEMPLATE_OF_PROCESSORS)
    for stated in (legacy.get("chat_template"), config.get("chat_template")):
        if isinstance(stated, str):
            found["default"] = stated
        elif isinstance(stated, Mapping):
            found |= {str(name): str(text) for name, text in stated.items()}
        for item in stated if isinstance(stated, list) else ():
            if isinstance(item, Mapping):
                found[str(item.get("name"))] = str(item.get("template"))
    if TEMPLATE in folder:
        found["default"] = folder.text(TEMPLATE)
    inner = folder.child(TEMPLATES)
    for name in inner.files if inner is not None else ():
        if inner is not None and name.endswith(".jinja"):
            found[name.removesuffix(".jinja")] = inner.text(name)
    # A template is read with one line end at its end taken away, and all line ends alike.
    return {name: text.replace("\r\n", "\n").removesuffix("\n") for name, text in found.items()}
