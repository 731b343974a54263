"""Bytes that coverage looks for, if atheris is installed: `python -m tests.verify.fuzz.guided -max_total_time=600`.

Where a file is read, and nothing computed: there coverage finds what chance would not, thousands of times a second. The
first byte of an input says which file the rest of it is. Stops at the first wrong answer, and keeps the input.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import atheris

with atheris.instrument_imports(include=["harness"]):
    from harness.checkpoints.safetensors_file import read_header
    from harness.errors import ArtifactError
    from harness.verify.adapters import read_adapter
    from harness.verify.companions import compare_checkpoints, open_checkpoint

from tests.verify.fuzz.child import limit_expressions
from tests.verify.fuzz.directories import Triple, content, copied, put_down
from tests.verify.fuzz.running import MAX_LINE
from tests.verify.fuzz.triples import pristine
from tests.verify.fuzz.weights import ADAPTER, INDEX, Unreadable, unpack

VARIANT = "dense"
SIZES = ("-len_control=0", "-max_len=65536")
"""Inputs are whole files from the beginning."""


class Target(NamedTuple):
    """A file, and what reads it."""

    name: str
    read: Callable[[Path], object]


def _header(path: Path) -> None:
    """What ours reads, the second reader reads too, and as the same."""
    entries = {entry.name: (entry.dtype, entry.shape) for entry in read_header(path)}
    try:
        tensors = unpack(path.read_bytes())
    except Unreadable as error:
        raise AssertionError(f"no reader takes this, and ours does: {error}") from error
    assert entries == {name: tensor[:2] for name, tensor in tensors.items()}


def _merged(path: Path) -> None:
    base = path.parents[3] / "base" / "snapshots" / "1"
    compare_checkpoints(open_checkpoint(base, role="base"), open_checkpoint(path.parent))


TARGETS = (
    Target(f"adapter/snapshots/1/{ADAPTER}", _header),
    Target(f"adapter/snapshots/1/{ADAPTER}", lambda path: read_adapter(path.parent)),
    Target("adapter/snapshots/1/adapter_config.json", lambda path: read_adapter(path.parent)),
    *(
        Target(f"merged/snapshots/1/{name}", _merged)
        for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", INDEX)
    ),
)


def main() -> None:
    """Hand the loop to atheris; the arguments are its own."""
    limit_expressions()
    triple = copied(pristine(VARIANT))
    with tempfile.TemporaryDirectory() as folder:
        place, corpus = Path(folder) / "triple", Path(folder) / "corpus"
        put_down(triple, place)
        corpus.mkdir()
        for number, target in enumerate(TARGETS):
            (corpus / str(number)).write_bytes(bytes([number]) + _content(triple, target))

        def try_one(data: bytes) -> None:
            target = TARGETS[data[0] % len(TARGETS)] if data else TARGETS[0]
            path = place / target.name
            path.write_bytes(data[1:])
            line = _refusal(target, path)
            path.write_bytes(_content(triple, target))
            assert line.isprintable(), ascii(line)
            assert len(line) <= MAX_LINE, line

        atheris.Setup([sys.argv[0], *SIZES, *sys.argv[1:], str(corpus)], try_one)
        atheris.Fuzz()


def _refusal(target: Target, path: Path) -> str:
    """The error's line; empty if the file is read."""
    try:
        target.read(path)
    except ArtifactError as error:
        return str(error)
    return ""


def _content(triple: Triple, target: Target) -> bytes:
    side, _, _, name = target.name.split("/")
    return content(triple[side], name)  # type: ignore[index]


if __name__ == "__main__":
    main()
