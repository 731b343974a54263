"""Takes guards out of a package, with all in it that they need, and nothing else. Executes nothing.

Kept are the statements that bind a name that is needed, in their order, and of imports the needed names alone; what
they import of the same package is taken out likewise. So a guard's helpers come with it, wherever they were moved to.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from harness.canaries.symbols import Definition, Symbol, blocks, definitions, names_of
from harness.canaries.trees import Tree

MAX_STATEMENTS = 20_000
_NOTED_BY_HINTS = frozenset({"ClassVar", "InitVar", "KW_ONLY", "typing", "dataclasses"})
"""Dataclasses look at these in the hints of a class."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is to be executed."""

    modules: Mapping[str, str]
    """Source by the name of the module."""
    stand_ins: tuple[str, ...]
    """Packages that are imported without a `try`, and are not to be had."""
    symbols: Mapping[str, str]
    """`module:name` by alias."""
    num_statements: int


def extract(tree: Tree, symbols: Mapping[str, Symbol], needs: Collection[str], leaves: Collection[str] = ()) -> Program:
    """A program with the `symbols`; `needs` are packages that are there. Raises Unparsable.

    `leaves` are modules of the package that are left out, with all in them but for the package itself.
    """
    extraction = _Extraction(tree, frozenset(needs), frozenset(leaves))
    places = {}
    for alias, symbol in symbols.items():
        module = next(name for name, path in tree.modules.items() if path == symbol.path)
        places[alias] = f"{module}:{extraction.need_symbol(module, symbol)}"
    sources = {module: extraction.source(module) for module in extraction.modules}
    return Program(sources, tuple(sorted(extraction.stand_ins)), places, extraction.num_statements)


class _Extraction:
    """What is needed so far of each module."""

    def __init__(self, tree: Tree, needs: frozenset[str], leaves: frozenset[str]) -> None:
        self._tree = tree
        self._needs = needs
        self._leaves = leaves
        self._kept: dict[str, set[int]] = {}
        self._imported: dict[tuple[str, int], set[str]] = {}
        self._lifted: dict[str, list[ast.stmt]] = {}
        self._bound: dict[str, dict[str, list[int]]] = {}
        self.stand_ins: set[str] = set()

    @property
    def modules(self) -> list[str]:
        return list(self._kept)

    @property
    def num_statements(self) -> int:
        return sum(map(len, self._kept.values()))

    def need_symbol(self, module: str, symbol: Symbol) -> str:
        """Keep it; what it is called in the module that is made."""
        first, _, inner = symbol.name.partition(".")
        if not inner or isinstance(self._definition(module, first), ast.ClassDef):
            self.need(module, first)
            return symbol.name
        # A function in a function: lifted out, with what the outer one imports, and its functions that it uses.
        outer = self._definition(module, first)
        assert isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        beside = [each for each in definitions(outer.body) if isinstance(each, ast.FunctionDef)]
        wanted: list[ast.stmt] = [symbol.node]
        used = _used_by(symbol.node)
        while more := [each for each in beside if each.name in used and each not in wanted]:
            wanted += more
            used = used.union(*map(_used_by, more))
        found = [each for each in ast.walk(outer) if isinstance(each, ast.Import | ast.ImportFrom)]
        imports = [_of_names(each, used) for each in found if used & set(_bound_by(each))]
        lifted = self._lifted.setdefault(module, [])
        self._kept.setdefault(module, set())
        lifted += [*imports, *wanted]
        for node in (*imports, *wanted):
            self._follow(module, node)
        return symbol.name.rpartition(".")[2]

    def need(self, module: str, name: str) -> None:
        """Keep what binds `name` in a module, and what that needs."""
        kept = self._kept.setdefault(module, set())
        for number in self._binding(module).get(name, ()):
            node = self._body(module)[number]
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = self._imported.setdefault((module, number), set())
                if name in names:
                    continue
                names.add(name)
                node = _of_names(node, {name})
            elif number in kept:
                continue
            if self.num_statements >= MAX_STATEMENTS:
                raise RecursionError(f"more than {MAX_STATEMENTS} statements are needed")
            kept.add(number)
            self._follow(module, node)

    def source(self, module: str) -> str:
        """Of the module that is made. Type hints are not looked at."""
        kept = [self._kept_of(module, number) for number in sorted(self._kept[module])]
        lines = map(ast.unparse, (*kept, *self._lifted.get(module, ())))
        return "\n".join(["from __future__ import annotations", *lines])

    def _kept_of(self, module: str, number: int) -> ast.stmt:
        node = self._body(module)[number]
        if isinstance(node, ast.Import | ast.ImportFrom):
            return _of_names(node, self._imported[module, number])
        return node

    def _body(self, module: str) -> list[ast.stmt]:
        return self._tree.parsed(self._tree.modules[module]).body

    def _definition(self, module: str, name: str) -> Definition | None:
        return next((each for each in definitions(self._body(module)) if name in names_of(each)), None)

    def _binding(self, module: str) -> Mapping[str, list[int]]:
        if module not in self._bound:
            bound: dict[str, list[int]] = {}
            for number, node in enumerate(self._body(module)):
                for name in _bound_by(node):
                    bound.setdefault(name, []).append(number)
            self._bound[module] = bound
        return self._bound[module]

    def _follow(self, module: str, node: ast.stmt) -> None:
        """Need what a statement uses; what it imports comes from the package, or is real, or is a stand-in."""
        for name in _used_by(node):
            self.need(module, name)
        in_try = {id(each) for outer in ast.walk(node) if isinstance(outer, ast.Try) for each in ast.walk(outer)}
        for each in ast.walk(node):
            if isinstance(each, ast.Import):
                for alias in each.names:
                    self._import(alias.name, (), guarded=id(each) in in_try)
                    if alias.asname and alias.name in self._tree.modules:
                        self._need_used(module, alias.asname, alias.name)
            elif isinstance(each, ast.ImportFrom):
                source = self._absolute(module, each)
                self._import(source, [alias.name for alias in each.names], guarded=id(each) in in_try)
                for alias in each.names:
                    if f"{source}.{alias.name}" in self._tree.modules:
                        self._need_used(module, alias.asname or alias.name, f"{source}.{alias.name}")

    def _need_used(self, module: str, alias: str, imported: str) -> None:
        """Need of a module that is imported as a whole what `module` uses of it."""
        if self._is_left(imported):
            return
        for each in ast.walk(self._tree.parsed(self._tree.modules[module])):
            if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == alias:
                self.need(imported, each.attr)

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        is_package = self._tree.modules[module].endswith("__init__.py")
        parts = module.split(".")
        base = parts[: len(parts) - node.level + is_package]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _import(self, source: str, names: Collection[str], *, guarded: bool) -> None:
        root = source.partition(".")[0]
        if self._is_left(source):
            self.stand_ins.add(source)
        elif source in self._tree.modules:
            for name in names:
                if self._is_left(f"{source}.{name}"):
                    self.stand_ins.add(f"{source}.{name}")
                elif f"{source}.{name}" in self._tree.modules:
                    self._kept.setdefault(f"{source}.{name}", set())
                else:
                    self.need(source, name)
            self._kept.setdefault(source, set())
        elif root not in sys.stdlib_module_names and root not in self._needs and not guarded:
            self.stand_ins.add(source if root == self._tree.package else root)

    def _is_left(self, module: str) -> bool:
        within = (each for each in self._leaves if "." in each)
        return module in self._leaves or any(module.startswith(f"{each}.") for each in within)


def _of_names(node: ast.Import | ast.ImportFrom, names: Collection[str]) -> ast.Import | ast.ImportFrom:
    """The import, of what it binds to `names` alone."""
    aliases = [each for each in node.names if (each.asname or each.name.partition(".")[0]) in names]
    if isinstance(node, ast.Import):
        return ast.Import(names=aliases)
    return ast.ImportFrom(module=node.module, names=aliases, level=node.level)


def _bound_by(node: ast.stmt) -> Iterator[str]:
    """The names that a statement of a module binds there."""
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
    elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
        for block in blocks(node):
            for each in block:
                yield from _bound_by(each)
    elif isinstance(node, ast.AugAssign):
        yield from (each.id for each in ast.walk(node.target) if isinstance(each, ast.Name))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        # `STATE.update(...)` decides what STATE holds.
        target = node.value.func
        while isinstance(target, ast.Attribute):
            target = target.value
            if isinstance(target, ast.Name):
                yield target.id
    else:
        yield from names_of(node)


def _used_by(node: ast.stmt) -> set[str]:
    """The names that a statement may look up in its module; type hints are not."""
    used: set[str] = set()
    stack: list[ast.AST] = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, ast.Name):
            used.add(each.id)
        for field, value in ast.iter_fields(each):
            if field in ("annotation", "returns"):
                if isinstance(each, ast.AnnAssign):
                    used |= _NOTED_BY_HINTS & {name.id for name in ast.walk(value) if isinstance(name, ast.Name)}
                continue
            children = value if isinstance(value, list) else [value]
            stack += [child for child in children if isinstance(child, ast.AST)]
    return used
