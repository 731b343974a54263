"""A package's Python files, wherever they came from: read, never imported."""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TypeVar
from weakref import WeakKeyDictionary

MAX_FILE_BYTES = 2 * 2**20
MAX_WORDS = 300_000
"""And signs, and lines: by them a syntax tree grows, to a kilobyte for each, and not by bytes."""
_WORD = re.compile(rb"\w+|[^\w\s]|\n")


N = TypeVar("N", bound=ast.AST)
T = TypeVar("T")


class Unparsable(Exception):
    """A file is no Python that this Python reads, or was not read."""


@dataclass(frozen=True, eq=False)
class Tree:
    """Files by their path, `unsloth_zoo/saving_utils.py`. `eq` is by identity: what was parsed is kept by it."""

    package: str
    version: str
    files: Mapping[str, bytes]
    origin: str
    """Where it came from, in words."""
    digest: str
    """Of the archive, or of all files; of what was edited, another."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Why a file was not read, by its path: it is there, and nobody knows what it says."""

    @functools.cached_property
    def modules(self) -> Mapping[str, str]:
        """Path by the name of the module; `__init__.py` is its folder's."""
        return {module_of(path): path for path in (*self.files, *self.left_out) if path.endswith(".py")}

    @functools.cached_property
    def _parsed(self) -> dict[str, ast.Module]:
        return {}

    def text(self, path: str) -> str:
        """Raises Unparsable for what is no text."""
        try:
            return self.files[path].decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Unparsable(f"{path} is not UTF-8: {error}") from error

    def parsed(self, path: str) -> ast.Module:
        """The file's syntax tree; do not change it. Raises Unparsable."""
        if path not in self._parsed:
            if path in self.left_out:
                raise Unparsable(f"{path} {self.left_out[path]}")
            content = self.files[path]
            if len(content) > MAX_FILE_BYTES:
                raise Unparsable(f"{path} has {len(content)} bytes; at most {MAX_FILE_BYTES} are parsed")
            if len(content) > MAX_WORDS and len(_WORD.findall(content)) > MAX_WORDS:
                raise Unparsable(f"{path} has more than {MAX_WORDS} words and lines, and is not parsed")
            try:
                self._parsed[path] = _syntax_tree(self.text(path), path)
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                raise Unparsable(f"{path} cannot be parsed: {error}") from error
        return self._parsed[path]

    def with_file(self, path: str, text: str) -> Tree:
        """The same, with another file."""
        files = {**self.files, path: text.encode()}
        digest = hashlib.sha256(f"{self.digest}\0{path}\0{text}".encode()).hexdigest()
        return replace(self, files=files, origin=f"{self.origin}, edited", digest=digest)

    def mentioning(self, word: str) -> Iterator[str]:
        """The paths of the modules that were read and hold `word`, anywhere; quick, as nothing is parsed."""
        needle = word.encode()
        return (path for path in sorted(self.modules.values()) if needle in self.files.get(path, b""))


@functools.lru_cache(maxsize=64)
def _syntax_tree(text: str, path: str) -> ast.Module:
    """Kept by what a file says: most say the same in the next release."""
    return ast.parse(text, path)


def once_a_node(compute: Callable[[N], T]) -> Callable[[N], T]:
    """What is computed of a node, and is never None, is kept as long as the node is."""
    kept: WeakKeyDictionary[N, T] = WeakKeyDictionary()

    @functools.wraps(compute)
    def remembered(node: N) -> T:
        if (found := kept.get(node)) is None:
            found = kept[node] = compute(node)
        return found

    return remembered


def module_of(path: str) -> str:
    """The name of the module that a file is; `__init__.py` is its folder's."""
    parts = PurePosixPath(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
