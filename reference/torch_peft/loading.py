"""Load models the way a user does, and write down what the loader said.

Owns the process settings (threads, determinism) and the capture of warnings. Knows nothing of cases or verdicts.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from harness.checkpoints.configs import get, has
from harness.records.jobs import FieldValue, LoadReport

REPORTED_PACKAGES = ("torch", "transformers", "peft", "trl", "safetensors", "accelerate", "tokenizers")
MAX_WARNINGS = 40
MAX_WARNING_CHARACTERS = 400


def prepare_process(seed: int) -> None:
    """One thread and one seed: two threads are slower here, and results must not depend on the machine's cores."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(seed)


def load_model(directory: Path, dtype: str) -> tuple[PreTrainedModel, LoadReport]:
    """The checkpoint in `directory` as a causal language model of `dtype`, and the keys that did not match."""
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=getattr(torch, dtype), output_loading_info=True, local_files_only=True
    )
    report = LoadReport(
        missing=tuple(sorted(info["missing_keys"])),
        unexpected=tuple(sorted(info["unexpected_keys"])),
        mismatched=tuple(sorted(str(key[0] if isinstance(key, tuple) else key) for key in info["mismatched_keys"])),
    )
    model.eval()
    return model, report


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The tokenizer beside a checkpoint."""
    return AutoTokenizer.from_pretrained(directory, local_files_only=True)


def compare_fields(
    declared: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]], config: Any
) -> tuple[FieldValue, ...]:
    """Each field of our config.json against what the loaded configuration holds under any of its names."""
    values = []
    held = config.to_dict()
    for name, others in aliases.items():
        expected = next(get(declared, place) for place in (name, *others) if has(declared, place))
        # A field may be held in several places. The first is the one that model code of that version reads.
        found = [value for place in (name, *others) if (value := _lookup(config, held, place)) is not None]
        got = found[0] if found else None
        values.append(FieldValue(name=name, expected=_canonical(expected), got=_canonical(got)))
    return tuple(values)


def _lookup(config: Any, held: Mapping[str, Any], place: str) -> Any:
    head, *rest = place.split(".")
    value = getattr(config, head, held.get(head))
    for key in rest:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _canonical(value: Any) -> str:
    if isinstance(value, torch.dtype):
        value = str(value).removeprefix("torch.")
    if isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    return json.dumps(value, sort_keys=True, default=str)


def installed_versions() -> dict[str, str]:
    """Versions of the packages that matter, as installed where this process runs."""
    found = {}
    for package in REPORTED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Collect Python warnings and log records at WARNING or above: distinct, first line each, in order."""
    lines: list[str] = []

    def add(text: str) -> None:
        stripped = text.strip()
        line = stripped.splitlines()[0][:MAX_WARNING_CHARACTERS] if stripped else ""
        if line and line not in lines and len(lines) < MAX_WARNINGS:
            lines.append(line)

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            add(record.getMessage())

    collector = Collector(level=logging.WARNING)
    # transformers' loggers do not propagate to the root, so the handler goes on the library's own logger too.
    loggers = [logging.getLogger(), logging.getLogger("transformers")]
    for logger in loggers:
        logger.addHandler(collector)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_args, **_kwargs: add(str(message))
            yield lines
    finally:
        for logger in loggers:
            logger.removeHandler(collector)
