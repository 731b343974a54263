"""What a statement of a module does with names, looked at once and remembered. Executes nothing, follows nothing."""

from __future__ import annotations

import ast
import bisect
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from harness.canaries.trees import once_a_node

ANY = "*"
"""A name that cannot be told."""
_NOTED_BY_HINTS = frozenset({"ClassVar", "InitVar", "KW_ONLY", "typing", "dataclasses"})
"""Dataclasses look at these in the hints of a class."""
_CHANGING = frozenset(
    {"add", "append", "clear", "discard", "extend", "insert", "pop", "remove", "setdefault", "update", "__setitem__"}
)
"""Methods that change what they are called of."""
_NAMESPACES = frozenset({"globals", "vars", "locals"})
_EXITS = frozenset({"_exit", "exit", "quit", "abort"})
_ASKING = frozenset({"getattr", "hasattr"})
_SILENT = (ast.Constant, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
"""What such nodes say is said by those that they are part of."""
_PARTS_THAT_ARE_HINTS = frozenset({"annotation", "returns"})


@dataclass(frozen=True, slots=True)
class Import:
    """`from module import name`, or `import module` if there is no `name`; wherever it stands in a statement."""

    module: str
    level: int
    name: str
    bound: str
    """To which name; empty if to none."""
    is_root: bool = False
    """Whether `bound` is the package that the module is in: `import package.module`."""
    guarded: bool = False
    """Whether it stands in a `try`."""

    def source(self, module: str, *, is_package: bool) -> str:
        """The whole name of the module that is imported from, if it stands in `module`."""
        if not self.level:
            return self.module
        parts = module.split(".")
        base = parts[: len(parts) - self.level + is_package]
        return ".".join([*base, *([self.module] if self.module else [])])


@dataclass(slots=True)
class Statement:
    """What is known of one. Of functions in it, what they do is done when they are called."""

    binds: set[str] = field(default_factory=set)
    """Names of the module that it binds, or of whose values it changes something."""
    uses: set[str] = field(default_factory=set)
    """Names that it may look up in its module; type hints are not."""
    calls: set[str] = field(default_factory=set)
    """Functions that it calls by their names alone, and decorators."""
    writes_later: set[str] = field(default_factory=set)
    """What its functions, and those in them, bind or change of the module."""
    calls_later: set[str] = field(default_factory=set)
    """What its functions call, without those in them."""
    imports: list[Import] = field(default_factory=list)
    chains: set[tuple[str, ...]] = field(default_factory=set)
    """`a.b.c`, and `getattr(a, "b")`."""
    replaces: list[tuple[str, str, int]] = field(default_factory=list)
    """Of something an attribute that is set or deleted: the last name of what it is of, the attribute, the line."""
    in_namespaces: list[tuple[str, int]] = field(default_factory=list)
    """What is set in the module's namespace by name, now or later, and the line; ANY only if now."""
    ends: bool = False
    """Whether it ends the loading of its module, whatever is the case."""


@dataclass(frozen=True, slots=True)
class Module:
    """What is known of all statements of a module."""

    statements: list[Statement]
    deciding: dict[str, list[int]]
    """The statements that decide what a name holds, by their numbers; without what `import *` binds."""
    imports: dict[str, list[Import]]
    """By the name that is bound, anywhere in it."""

    def written_by(self, calls: Collection[str], *, deep: bool) -> set[str]:
        """What its functions bind or change in it when they are called; `deep`, also those that they call."""
        written: set[str] = set()
        called: set[str] = set()
        waiting = set(calls)
        while waiting:
            name = waiting.pop()
            called.add(name)
            for number in self.deciding.get(name, ()):
                statement = self.statements[number]
                written |= statement.writes_later
                waiting |= statement.calls_later - called if deep else set()
        return written - set(self.imports)


class _When(Enum):
    MODULE = 0
    """Now, and what is bound is the module's."""
    INSIDE = 1
    """Now, and what is bound is a class's, or a comprehension's."""
    LATER = 2
    """When a function is called."""
    LATER_STILL = 3
    """When a function is called that is in one."""


_LATER = (_When.LATER, _When.LATER_STILL)


@once_a_node
def looked_through(node: ast.Module) -> Module:
    """What all statements of a module do."""
    made = Module([looked_at(each) for each in node.body], {}, {})
    for number, statement in enumerate(made.statements):
        for name in statement.binds:
            made.deciding.setdefault(name, []).append(number)
        for each in statement.imports:
            made.imports.setdefault(each.bound, []).append(each)
    # What functions do to the module, whoever calls them does; and what is executed for what it does, deeply.
    found = [
        made.written_by(each.calls, deep=isinstance(statement, ast.Expr))
        for statement, each in zip(node.body, made.statements, strict=True)
    ]
    for number, names in enumerate(found):
        for name in names - made.statements[number].binds:
            bisect.insort(made.deciding.setdefault(name, []), number)
    return made


@once_a_node
def looked_at(node: ast.stmt) -> Statement:
    """What a statement of a module does."""
    look = _Look()
    look.made.ends = isinstance(node, ast.Raise) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _last(node.value.func) in _EXITS
    )
    stack: list[tuple[ast.AST, _When, bool]] = [(node, _When.MODULE, False)]
    while stack:
        each, when, guarded = stack.pop()
        look.at(each, when, guarded)
        stack += _children(each, when, guarded or isinstance(each, ast.Try | ast.TryStar))
    look.made.writes_later = look.shared | (look.changed_later - look.own)
    return look.made


def _children(node: ast.AST, when: _When, guarded: bool) -> Iterator[tuple[ast.AST, _When, bool]]:
    """The parts of a node but for hints, with when each is executed."""
    is_later = when in _LATER
    inside = when if is_later else _When.INSIDE
    for name in node._fields:
        value = getattr(node, name, None)
        if not isinstance(value, list | ast.AST):
            continue
        then = when
        if name in _PARTS_THAT_ARE_HINTS or (name == "body" and _is_only_for_hints(node)):
            continue
        if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            then = _When.LATER_STILL if is_later else _When.LATER
        elif (name == "body" and isinstance(node, ast.ClassDef)) or (
            name == "target" and isinstance(node, ast.comprehension)
        ):
            then = inside
        for each in value if isinstance(value, list) else (value,):
            if isinstance(each, ast.AST) and not isinstance(each, _SILENT):
                yield each, then, guarded


class _Look:
    """At one node after the other."""

    def __init__(self) -> None:
        self.made = Statement()
        self.shared: set[str] = set()
        """What functions say is `global`."""
        self.changed_later: set[str] = set()
        self.own: set[str] = set()
        """The names of functions' own variables."""

    def at(self, node: ast.AST, when: _When, guarded: bool) -> None:
        made, now = self.made, when not in _LATER
        match node:
            case ast.Name(id=name, ctx=context):
                made.uses.add(name)
                if not isinstance(context, ast.Load):
                    self._bind(name, when)
            case ast.Attribute():
                self._chain(node)
                if not isinstance(node.ctx, ast.Load):
                    self._change(node, when)
                    made.replaces.append((_last(node.value), node.attr, node.lineno))
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                self._change(node, when)
                if _is_namespace(node.value):
                    self._in_namespace(_text(node.slice), node.lineno, when)
            case ast.Call():
                self._call(node, when, guarded)
            case ast.Expr(value=ast.Call() as call) if now:
                # `STATE.update(...)` and `fill(STATE)` decide what STATE holds.
                handed = (*call.args, *(each.value for each in call.keywords))
                made.binds |= {each.id for each in handed if isinstance(each, ast.Name)}
                if isinstance(call.func, ast.Attribute):
                    self._change(call.func, when)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                self._bind(node.name, when)
                for each in node.decorator_list:
                    if isinstance(each, ast.Name):
                        self._calls(each.id, when)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call) if module := _imported_by(call):
                made.imports.append(Import(*module, "", name))
            case ast.Global(names=names):
                (made.binds if now else self.shared).update(names)
            case ast.arg(arg=name):
                self.own.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                self._bind(name, when)
            case ast.ExceptHandler(name=str(name)):
                self._bind(name, when)
            case ast.AnnAssign(annotation=hint):
                made.uses |= _NOTED_BY_HINTS & {each.id for each in ast.walk(hint) if isinstance(each, ast.Name)}
            case ast.Import() | ast.ImportFrom():
                self._import(node, when, guarded)

    def _bind(self, name: str, when: _When) -> None:
        if when is _When.MODULE:
            self.made.binds.add(name)
        elif when in _LATER:
            self.own.add(name)

    def _calls(self, name: str, when: _When) -> None:
        if when is not _When.LATER_STILL:
            (self.made.calls_later if when is _When.LATER else self.made.calls).add(name)

    def _change(self, node: ast.expr, when: _When) -> None:
        """Of something that a name holds."""
        while isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        if isinstance(node, ast.Name):
            (self.changed_later if when in _LATER else self.made.binds).add(node.id)

    def _chain(self, node: ast.expr) -> None:
        names: list[str] = []
        while step := _attribute(node):
            node = step[0]
            names.insert(0, step[1])
        if names and isinstance(node, ast.Name):
            self.made.chains.add((node.id, *names))
        elif names and isinstance(node, ast.Call) and (module := _imported_by(node)):
            self.made.imports.append(Import(*module, names[0], ""))

    def _call(self, node: ast.Call, when: _When, guarded: bool) -> None:
        made, called = self.made, _last(node.func)
        if isinstance(node.func, ast.Name):
            self._calls(called, when)
        if isinstance(node.func, ast.Attribute) and called in _CHANGING:
            if when in _LATER:
                self._change(node.func, when)
            if _is_namespace(node.func.value):
                self._in_namespaces(node, when)
        if called in ("exec", "eval") and isinstance(node.func, ast.Name):
            text = _text(node.args[0]) if node.args else ""
            for name in (ANY,) if text == ANY else re.findall(r"\w+", text):
                self._in_namespace(name, node.lineno, when)
        if called in _ASKING:
            self._chain(node)
        elif len(node.args) > 1 and isinstance(node.func, ast.Name | ast.Attribute):
            # `setattr(thing, "name", value)`, and whatever does the same.
            of, name = node.args[:2]
            if (attribute := _text(name)) != ANY and (len(node.args) > 2 or called == "delattr"):
                made.replaces.append((_last(of), attribute, node.lineno))
            elif called in ("setattr", "delattr") and _is_this_module(of):
                self._in_namespace(attribute, node.lineno, when)
        if module := _imported_by(node):
            made.imports.append(Import(*module, "", "", guarded=guarded))

    def _in_namespaces(self, node: ast.Call, when: _When) -> None:
        """`globals().update(...)`."""
        for keyword in node.keywords:
            self._in_namespace(keyword.arg or ANY, node.lineno, when)
        for each in node.args:
            keys = each.keys if isinstance(each, ast.Dict) else [each]
            for key in keys:
                self._in_namespace(_text(key) if key else ANY, node.lineno, when)

    def _in_namespace(self, name: str, line: int, when: _When) -> None:
        if name != ANY or when not in _LATER:
            self.made.in_namespaces.append((name, line))

    def _import(self, node: ast.Import | ast.ImportFrom, when: _When, guarded: bool) -> None:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            is_root = isinstance(node, ast.Import) and not alias.asname
            if isinstance(node, ast.Import):
                made = Import(alias.name, 0, "", bound, is_root, guarded)
            else:
                made = Import(node.module or "", node.level, alias.name, bound, guarded=guarded)
            self.made.imports.append(made)
            self._bind(bound, when)


def _is_only_for_hints(node: ast.AST) -> bool:
    """`if TYPE_CHECKING:`"""
    return isinstance(node, ast.If) and _last(node.test) == "TYPE_CHECKING"


def _attribute(node: ast.expr) -> tuple[ast.expr, str] | None:
    """Of `a.b` and of `getattr(a, "b")`: a and b."""
    match node:
        case ast.Attribute(value=value, attr=name):
            return value, name
        case ast.Call(func=ast.Name(id="getattr" | "hasattr"), args=[value, ast.Constant(value=str(name)), *_]):
            return value, name
    return None


def _imported_by(node: ast.Call) -> tuple[str, int] | None:
    """The module that `importlib.import_module("…")` imports, and how many steps up."""
    if _last(node.func) not in ("import_module", "__import__") or not node.args or (_text(node.args[0]) == ANY):
        return None
    name = _text(node.args[0])
    module = name.lstrip(".")
    return module, len(name) - len(module)


def _last(node: ast.expr) -> str:
    """The last name of `a.b`, of `a.b()` and of `a.b[c]`."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    """ANY of what is no text."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ANY


def _is_namespace(node: ast.expr) -> bool:
    """`globals()`, and `module.__dict__`."""
    if isinstance(node, ast.Call):
        own = not node.args or _is_this_module(node.args[0])
        return isinstance(node.func, ast.Name) and node.func.id in _NAMESPACES and own
    return isinstance(node, ast.Attribute) and node.attr == "__dict__" and _is_this_module(node.value)


def _is_this_module(node: ast.expr) -> bool:
    """`sys.modules[__name__]`."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Name) and node.slice.id == "__name__"
