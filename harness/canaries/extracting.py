"""Takes guards out of a package, with all in it that they need, and nothing else. Executes nothing.

Kept are the statements that bind a name that is needed, in their order, and of imports the needed names alone; what
they import of the same package is taken out likewise. So a guard's helpers come with it, wherever they were moved to.
What is left out and may replace a guard nevertheless is a doubt.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.canaries.replacing import replacements
from harness.canaries.statements import ANY, Import, Module, Statement, looked_at, looked_through
from harness.canaries.symbols import Definition, Symbol, definitions, names_of, source_of
from harness.canaries.trees import Tree, module_of, once_a_node

MAX_STATEMENTS = 20_000


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
    doubts: tuple[str, ...]
    """What is left out, and may replace one of the symbols: in words, with its place."""


def extract(tree: Tree, symbols: Mapping[str, Symbol], needs: Collection[str], leaves: Collection[str] = ()) -> Program:
    """A program with the `symbols`; `needs` are packages that are there. Raises Unparsable.

    `leaves` are modules of the package that are left out, with all in them but for the package itself.
    """
    extraction = _Extraction(tree, frozenset(needs), frozenset(leaves))
    places = {}
    for alias, symbol in symbols.items():
        module = module_of(symbol.path)
        places[alias] = f"{module}:{extraction.need_symbol(module, symbol)}"
    sources = {module: extraction.source(module) for module in extraction.modules}
    doubts = tuple(dict.fromkeys(each for symbol in symbols.values() for each in extraction.doubts_of(symbol)))
    return Program(sources, tuple(sorted(extraction.stand_ins)), places, extraction.num_statements, doubts)


_text_of = once_a_node(ast.unparse)
"""Guards of one package have much in common."""


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
            self._need(module, first)
            return symbol.name
        # A function in a function: lifted out, with what the outer one imports, and its functions that it uses.
        outer = self._definition(module, first)
        assert isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        beside = [each for each in definitions(outer.body) if isinstance(each, ast.FunctionDef)]
        wanted: list[ast.stmt] = [symbol.node]
        used = set(looked_at(symbol.node).uses)
        while more := [each for each in beside if each.name in used and each not in wanted]:
            wanted += more
            used = used.union(*(looked_at(each).uses for each in more))
        found = [each for each in ast.walk(outer) if isinstance(each, ast.Import | ast.ImportFrom)]
        imports = [_of_names(each, used) for each in found if used & looked_at(each).binds]
        lifted = self._lifted.setdefault(module, [])
        self._kept.setdefault(module, set())
        lifted += [*imports, *wanted]
        for node in (*imports, *wanted):
            self._follow(module, looked_at(node))
        return symbol.name.rpartition(".")[2]

    def source(self, module: str) -> str:
        """Of the module that is made. Type hints are not looked at."""
        kept = [self._kept_of(module, number) for number in sorted(self._kept[module])]
        lines = map(_text_of, (*kept, *self._lifted.get(module, ())))
        return "\n".join(["from __future__ import annotations", *lines])

    def doubts_of(self, symbol: Symbol) -> Iterator[str]:
        """What may replace it, and is not executed: in its own module what is left out, in others all."""
        module = module_of(symbol.path)
        kept = self._kept[module]
        left = [each for number, each in enumerate(self._body(module)) if number not in kept]
        name = symbol.name.partition(".")[0]
        for node in left:
            statement = looked_at(node)
            if statement.ends:
                yield f"{symbol.path} ends when it is loaded, in line {node.lineno}"
            lines = [line for bound, line in statement.in_namespaces if bound in (name, ANY)]
            if name in self._known(module).written_by(statement.calls, deep=True):
                lines.append(node.lineno)
            for line in lines:
                yield f"{name} may be bound once more in {symbol.path}, line {line}"
        is_class = isinstance(self._definition(module, name), ast.ClassDef)
        for path, line in replacements(self._tree, symbol, left, is_class=is_class):
            yield f"{name} is replaced in {path}, line {line}"

    def _need(self, module: str, name: str) -> None:
        """Keep what binds `name` in a module, and what that needs."""
        self._kept.setdefault(module, set())
        for number in self._binding(module).get(name, ()):
            self._keep(module, number, name)

    def _keep(self, module: str, number: int, name: str) -> None:
        """A statement; of imports what binds `name`."""
        kept = self._kept.setdefault(module, set())
        node = self._body(module)[number]
        statement = looked_at(node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = self._imported.setdefault((module, number), set())
            if name in names:
                return
            names.add(name)
            statement = looked_at(_of_names(node, {name}))
        else:
            for source in self._stars(module, statement):
                self._need(source, name)
            if number in kept:
                return
        if self.num_statements >= MAX_STATEMENTS:
            raise RecursionError(f"more than {MAX_STATEMENTS} statements are needed")
        kept.add(number)
        self._follow(module, statement)

    def _need_from_outside(self, module: str, name: str) -> None:
        """The same; where no statement binds it, whatever the module's `__getattr__` finds it in."""
        if name in self._binding(module) or "__getattr__" not in self._binding(module):
            self._need(module, name)
            return
        self._need(module, "__getattr__")
        for number in self._binding(module)["__getattr__"]:
            for each in looked_at(self._body(module)[number]).imports:
                if (source := self._absolute(module, each)) in self._tree.modules and not self._is_left(source):
                    self._need(source, name)

    def _kept_of(self, module: str, number: int) -> ast.stmt:
        node = self._body(module)[number]
        if isinstance(node, ast.Import | ast.ImportFrom):
            return _of_names(node, self._imported[module, number])
        return node

    def _body(self, module: str) -> list[ast.stmt]:
        return self._tree.parsed(self._tree.modules[module]).body

    def _definition(self, module: str, name: str) -> Definition | None:
        return next((each for each in definitions(self._body(module)) if name in names_of(each)), None)

    def _known(self, module: str) -> Module:
        return looked_through(self._tree.parsed(self._tree.modules[module]))

    def _binding(self, module: str) -> Mapping[str, list[int]]:
        """The statements that decide what a name of a module holds, by their numbers."""
        if module not in self._bound:
            bound = self._bound[module] = dict(self._known(module).deciding)
            for number, statement in enumerate(self._known(module).statements):
                for source in self._stars(module, statement):
                    for name in self._exported(source):
                        bound[name] = sorted({*bound.get(name, ()), number})
        return self._bound[module]

    def _stars(self, module: str, statement: Statement) -> Iterator[str]:
        """The modules of the package of which all is imported."""
        for each in statement.imports:
            source = self._absolute(module, each)
            if each.name == ANY and source in self._tree.modules and source != module and not self._is_left(source):
                yield source

    def _exported(self, module: str) -> set[str]:
        """What `import *` may bind: all, if the module itself says what."""
        names = set(self._binding(module)) - {ANY}
        return names if "__all__" in names else {name for name in names if not name.startswith("_")}

    def _follow(self, module: str, statement: Statement) -> None:
        """Need what a statement uses; what it imports comes from the package, or is real, or is a stand-in."""
        for name in statement.uses:
            self._need(module, name)
        for each in statement.imports:
            self._import(self._absolute(module, each), each)
        for root, *names in statement.chains:
            for source in self._modules_called(module, root):
                self._need_in(source, names)

    def _modules_called(self, module: str, name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        """The modules of the package that a name of a module may be; also what others call so and it imports."""
        found: set[str] = set()
        for each in self._known(module).imports.get(name, ()):
            source = self._absolute(module, each)
            whole = f"{source}.{each.name}" if each.name else source.partition(".")[0] if each.is_root else source
            if whole in self._tree.modules or each.is_root:
                found.add(whole)
            elif source in self._tree.modules and source not in seen and not self._is_left(source):
                found |= self._modules_called(source, each.name, seen | {module})
        return found

    def _need_in(self, module: str, names: Sequence[str]) -> None:
        """Need what `module.a.b` is: of the last of these that is a module what is looked up in it."""
        for name in names:
            if self._is_left(module):
                return
            if f"{module}.{name}" not in self._tree.modules:
                if module in self._tree.modules:
                    self._need_from_outside(module, name)
                return
            module = f"{module}.{name}"

    def _absolute(self, module: str, imported: Import) -> str:
        return source_of(self._tree, module, imported)

    def _import(self, source: str, imported: Import) -> None:
        root = source.partition(".")[0]
        if self._is_left(source):
            self.stand_ins.add(source)
        elif source in self._tree.modules:
            whole = f"{source}.{imported.name}"
            if imported.name and self._is_left(whole):
                self.stand_ins.add(whole)
            elif whole in self._tree.modules:
                self._kept.setdefault(whole, set())
            elif imported.name:
                self._need_from_outside(source, imported.name)
            self._kept.setdefault(source, set())
        elif root not in sys.stdlib_module_names and root not in self._needs and not imported.guarded:
            self.stand_ins.add(source if root == self._tree.package else root)

    def _is_left(self, module: str) -> bool:
        within = (each for each in self._leaves if "." in each)
        return module in self._leaves or any(module.startswith(f"{each}.") for each in within)


def _of_names(node: ast.Import | ast.ImportFrom, names: Collection[str]) -> ast.Import | ast.ImportFrom:
    """The import, of what it binds to `names` alone."""
    aliases = [each for each in node.names if (each.asname or each.name.partition(".")[0]) in names]
    if isinstance(node, ast.Import):
        return ast.Import(names=aliases)
    if node.names[0].name == ANY:
        aliases = [ast.alias(name) for name in sorted(names)]
    return ast.ImportFrom(module=node.module, names=aliases, level=node.level)
