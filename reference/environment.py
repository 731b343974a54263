"""What every stack tells of the process that it works in: the versions installed there, and what was warned of.

Standard library only: it knows the packages by their names, and imports none of them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

REPORTED_PACKAGES = (
    *("torch", "transformers", "peft", "trl", "safetensors", "accelerate", "tokenizers"),
    *("jax", "jaxlib", "flax", "optax"),
)
MAX_WARNINGS = 40
MAX_WARNING_CHARACTERS = 400


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
