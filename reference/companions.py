"""What lies beside the weights, as base has it and as it was saved: configuration, generation settings, vocabulary.

Reads files; standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.checkpoints import configs
from harness.records.jobs import FieldValue
from reference.fields import canonical, compare_fields

GENERATION = "generation_config"
VOCABULARY = "tokenizer"


def compare_companions(base: Path, saved: Path, aliases: Mapping[str, tuple[str, ...]]) -> tuple[FieldValue, ...]:
    """Each field of `base` against the files in `saved`; of a file that is not there another check tells."""

    def config() -> tuple[FieldValue, ...]:
        return compare_fields(_read(base / "config.json"), aliases, partial(configs.get, _read(saved / "config.json")))

    def generation() -> tuple[FieldValue, ...]:
        return compare_generation(base, _read(saved / "generation_config.json").get)

    def vocabulary() -> tuple[FieldValue, ...]:
        return (_compare_vocabularies(base, saved),)

    compared = {"config.json": config, "generation_config.json": generation, "tokenizer.json": vocabulary}
    fields: list[FieldValue] = []
    for file, compare in compared.items():
        if (saved / file).exists():
            try:
                fields += compare()
            except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                # What a stack saved is malformed: that is told as any other change of the file, and ends no job.
                name = VOCABULARY if file == "tokenizer.json" else file
                fields.append(FieldValue(name=name, expected=canonical("as base has it"), got=canonical(repr(error))))
    return tuple(fields)


def compare_generation(base: Path, held: Callable[[str], Any]) -> tuple[FieldValue, ...]:
    """The generation settings that `base` declares, against those that are `held` under their names."""
    declared = _read(base / "generation_config.json")
    return tuple(
        FieldValue(
            name=f"{GENERATION}.{name}",
            expected=canonical(value),
            got=canonical(_alone(held(name))),
        )
        for name, value in declared.items()
        if name != "transformers_version"
    )


def _compare_vocabularies(base: Path, saved: Path) -> FieldValue:
    """One field for all tokens: expected and got are those whose number is another, a few of them."""
    wanted, held = (_tokens(folder / "tokenizer.json") for folder in (base, saved))
    other = sorted(token for token in wanted.keys() | held.keys() if wanted.get(token) != held.get(token))[:4]
    expected, got = ({token: ids.get(token) for token in other} for ids in (wanted, held))
    return FieldValue(name=VOCABULARY, expected=canonical(expected), got=canonical(got))


def _tokens(path: Path) -> dict[str, int]:
    """Token to number, of the model and of what was added to it."""
    content = _read(path)
    vocabulary: dict[str, int] = dict(content["model"]["vocab"])
    return vocabulary | {token["content"]: token["id"] for token in content.get("added_tokens", ())}


def _alone(value: Any) -> Any:
    """One stop token may be written as a list of one, which means the same."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
