"""Where a guard is in a package, what it looks like, and where it may have gone. Executes nothing."""

from __future__ import annotations

import ast
import copy
import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.canaries.statements import ANY, Import, Module, looked_through
from harness.canaries.trees import Tree, Unparsable, module_of, once_a_node

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
_BLOCKS = (ast.If, ast.Try, ast.With)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: in which file, under which name, and itself."""

    path: str
    name: str
    node: Definition

    @property
    def line(self) -> int:
        """From 1."""
        return self.node.lineno

    def __str__(self) -> str:
        return f"{self.name} in {self.path}, line {self.line}"


def placed(where: str, name: str) -> tuple[str, str]:
    """The file, `where` unless the name says another, and the name in it."""
    path, _, inner = name.rpartition(":")
    return path or where, inner


def find(tree: Tree, path: str, name: str) -> Symbol | None:
    """The definition `name` (`Class.method` and `function.inner` too) in a file; the last if there are several."""
    if path not in tree.files and path not in tree.left_out:
        return None
    body: Sequence[ast.stmt] = tree.parsed(path).body
    node: Definition | None = None
    for part in name.split("."):
        node = next((each for each in reversed(list(definitions(body))) if part in names_of(each)), None)
        if node is None:
            return None
        body = getattr(node, "body", [])
    return Symbol(path, name, node) if node is not None else None


def elsewhere(tree: Tree, path: str, name: str, pinned: Sequence[str] = ()) -> Iterator[Symbol]:
    """Where `name` may have gone, in the package and not its tests.

    What the file imports under that name; the same name in another file; code that is known, under another name.
    """
    found = [*_imported(tree, path, name)]
    last = name.rpartition(".")[2]
    for other in tree.mentioning(last):
        if other != path and is_of_package(other, path) and (there := _found(tree, other, last)) is not None:
            found.append(there)
    for digest in dict.fromkeys(pinned) if path in tree.files else ():
        found += [Symbol(path, node.name, node) for node in _by_digest(tree, path).get(digest, ())]
    yield from dict.fromkeys(found)


def is_of_package(path: str, where: str) -> bool:
    """Whether a file is in the same outermost folder as another, and no test."""
    parts = PurePosixPath(path).parts
    return parts[0] == PurePosixPath(where).parts[0] and "tests" not in parts


def source_of(tree: Tree, module: str, imported: Import) -> str:
    """The whole name of the module that an import in `module` is from."""
    return imported.source(module, is_package=tree.modules[module].endswith("__init__.py"))


def is_reached(tree: Tree, where: str, symbol: Symbol) -> bool:
    """Whether a file, or what it imports of the package, refers to it.

    If the file is gone, or the symbol is in it, whether anything of the package does.
    """
    modules = {module: path for module, path in tree.modules.items() if is_of_package(path, where)}
    start = module_of(where)
    is_anywhere = start not in modules or symbol.path == where
    name = symbol.name.partition(".")[0]
    named = {*tree.mentioning(name), *tree.mentioning("import *")}
    waiting = [module for module, path in modules.items() if path in named] if is_anywhere else [start]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        seen.add(module)
        try:
            known = looked_through(tree.parsed(modules[module]))
        except Unparsable:
            continue
        if _refers(tree, module, known, symbol):
            return True
        for each in itertools.chain.from_iterable(known.imports.values() if not is_anywhere else ()):
            source = source_of(tree, module, each)
            waiting += ({source, f"{source}.{each.name}"} & modules.keys()) - seen
    return False


def _refers(tree: Tree, module: str, known: Module, symbol: Symbol) -> bool:
    first, target = symbol.name.partition(".")[0], module_of(symbol.path)
    if module == target:
        return any(first in each.uses - each.binds for each in known.statements)
    for each in itertools.chain.from_iterable(known.imports.values()):
        source = source_of(tree, module, each)
        if source == target and each.name in (first, ANY):
            return True
        is_whole = source == target and not each.name
        if is_whole or f"{source}.{each.name}" == target:
            return any(first in chain[1:] for each in known.statements for chain in each.chains)
    return False


def _imported(tree: Tree, path: str, name: str, seen: frozenset[str] = frozenset()) -> Iterator[Symbol]:
    """What a file imports under a name, followed to where it is defined."""
    if path not in tree.files or path in seen:
        return
    first, _, inner = name.partition(".")
    known = looked_through(tree.parsed(path)).imports
    for each in (*known.get(first, ()), *known.get(ANY, ())):
        there = tree.modules.get(source_of(tree, module_of(path), each))
        if there is not None and each.name:
            original = first if each.name == ANY else each.name
            wanted = f"{original}.{inner}" if inner else original
            if (found := _found(tree, there, wanted)) is not None:
                yield found
            else:
                yield from _imported(tree, there, wanted, seen | {path})


@functools.lru_cache(maxsize=2)
def _by_digest(tree: Tree, path: str) -> dict[str, list[ast.FunctionDef]]:
    """The functions of a file by what they say; made once for all the guards that are not where they were."""
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in definitions(tree.parsed(path).body):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(digest_of(node), []).append(node)
    return found


def _found(tree: Tree, path: str, name: str) -> Symbol | None:
    try:
        return find(tree, path, name)
    except Unparsable:
        return None


def definitions(body: Sequence[ast.stmt]) -> Iterator[Definition]:
    """All that a module, a class or a function defines by itself; in `if`, `try` and `with` too."""
    for node in body:
        if isinstance(node, Definition):
            yield node
        elif isinstance(node, _BLOCKS):
            for block in blocks(node):
                yield from definitions(block)


def blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The bodies of a statement."""
    for field in ("body", "orelse", "finalbody"):
        yield getattr(node, field, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body


def names_of(node: ast.AST) -> set[str]:
    """What a definition defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {each.id for target in targets for each in ast.walk(target) if isinstance(each, ast.Name)}


def parameters_of(node: Definition) -> tuple[str, ...] | None:
    """The names of a function's parameters that are no `*` ones; None of what is no function."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return None
    arguments = node.args
    return tuple(each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs))


@once_a_node
def digest_of(node: ast.AST) -> str:
    """Of what the code says: not of formatting, comments, docstrings, hints, nor of what local names are called.

    Empty for code that is nested too deeply.
    """
    try:
        plain = _Plain().visit(copy.deepcopy(node))
        return hashlib.sha256(ast.dump(plain).encode()).hexdigest()[:16]
    except RecursionError:
        return ""


class _Plain(ast.NodeTransformer):
    """Without what does not change what is computed."""

    def __init__(self) -> None:
        self._called: list[dict[str, str]] = []

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        arguments = node.args
        own = [each.arg for each in ast.walk(arguments) if isinstance(each, ast.arg)]
        stored = [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
        outside = {
            name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names
        }
        local = [name for name in dict.fromkeys(stored) if name not in outside and name not in own]
        self._called.append({name: f"local_{number}" for number, name in enumerate(local)})
        if not self._called[:-1]:
            node.name = "_"
        node.returns = None
        node.body = _without_docstring(node.body)
        self.generic_visit(node)
        self._called.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _function

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = _without_docstring(node.body)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.visit(ast.Assign(targets=[node.target], value=node.value, lineno=node.lineno))  # type: ignore[no-any-return]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        for scope in reversed(self._called):
            if node.id in scope:
                node.id = scope[node.id]
                break
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self._called.append({node.name: f"caught_{len(self._called)}"} if node.name else {})
        node.name = "_" if node.name else None
        self.generic_visit(node)
        self._called.pop()
        return node


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:] or [ast.Pass()]
    return body
