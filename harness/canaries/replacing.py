"""Where a package puts something else in a guard's place. Executes nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from harness.canaries.statements import looked_at
from harness.canaries.symbols import Symbol, is_of_package
from harness.canaries.trees import Tree, Unparsable

_OWN = frozenset({"self", "cls"})
"""An attribute of these is no module's."""


def replacements(tree: Tree, symbol: Symbol, left: Iterable[ast.stmt], *, is_class: bool) -> Iterator[tuple[str, int]]:
    """Files and lines that set or delete it as an attribute: in `left`, of its own file, and in all other files."""
    name = symbol.name.partition(".")[0]
    for line in _lines(symbol, left, is_class=is_class):
        yield symbol.path, line
    mentioned = re.compile(rf"(?:\.[\s\\]*|[\"'.])\b{name}\b" + rf"|\b{name}[\s\\]*[.,]" * is_class)
    for path in tree.mentioning(name):
        if path != symbol.path and is_of_package(path, symbol.path) and mentioned.search(_text(tree, path)):
            for line in _lines(symbol, _body(tree, path), is_class=is_class):
                yield path, line


def _lines(symbol: Symbol, nodes: Iterable[ast.stmt], *, is_class: bool) -> Iterator[int]:
    first, _, inner = symbol.name.partition(".")
    for node in nodes:
        for of, attribute, line in looked_at(node).replaces:
            its_own = is_class and of == first and attribute == (inner or attribute)
            if of not in _OWN and (attribute.rpartition(".")[2] == first or its_own):
                yield line


def _text(tree: Tree, path: str) -> str:
    try:
        return tree.text(path)
    except Unparsable:
        return ""


def _body(tree: Tree, path: str) -> list[ast.stmt]:
    """Nothing of what cannot be parsed: Python does not import it either."""
    try:
        return tree.parsed(path).body
    except Unparsable:
        return []
