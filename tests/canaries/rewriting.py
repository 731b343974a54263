"""Harmless rewrites: what maintainers do every week, and no canary may sing at. Each by its own name.

What a rewrite cannot do without changing what some function computes, it leaves undone there.
"""

from __future__ import annotations

import ast
import copy
import io
import itertools
import re
import symtable
import tokenize
from collections.abc import Callable, Collection, Iterator, Sequence

Rewrite = Callable[[str, Collection[str]], str]
"""A file's text, and the names of what to rewrite in it (`function`, `Class`, `Class.method`, `function.inner`; `*` is
everything), to another text that does the same."""
Scope = ast.FunctionDef | ast.ClassDef
Change = Callable[[ast.FunctionDef, Sequence[Scope]], list[ast.stmt]]
"""A function, and what it is defined in, from the module on; to itself, after what must stand before it."""

REWRITES: dict[str, Rewrite] = {}
UNSEEN = ("formatting", "quotes", "docstrings", "hints", "local_names")
"""Those that leave the code of a guard what it was: they change no digest."""
_MARK = "rewritten_"
_FRAMES = frozenset({"_getframe", "currentframe"})
"""Who calls these knows how deep it is called."""
_READERS = frozenset({"overload", "custom_op", "register_fake", "auto_docstring", "script", "register"})
"""Decorators that read a function's parameters, hints or docstring."""


def rewrite(text: str, names: Collection[str]) -> str:
    """All of them, one after the other."""
    for each in REWRITES.values():
        text = each(text, names)
    return text


def _rewrite(function: Rewrite) -> Rewrite:
    REWRITES[function.__name__] = function
    return function


@_rewrite
def formatting(text: str, _: Collection[str]) -> str:
    """Everything in another format, without comments."""
    return ast.unparse(ast.parse(text))


@_rewrite
def docstrings(text: str, names: Collection[str]) -> str:
    """Another docstring."""
    return _changed(text, names, _with_docstring)


def _with_docstring(node: ast.FunctionDef, _: Sequence[Scope]) -> list[ast.stmt]:
    if not _is_read(node):
        node.body = [ast.Expr(ast.Constant("Rewritten.")), *node.body[_has_docstring(node) :]]
    return [node]


@_rewrite
def hints(text: str, names: Collection[str]) -> str:
    """Another type hint on every parameter, on what is returned, and on local variables; of a name that is nowhere."""
    return _changed(text, names, _hinted)


def _hinted(node: ast.FunctionDef, _: Sequence[Scope]) -> list[ast.stmt]:
    if not _is_read(node):
        for each in ast.walk(node.args):
            if isinstance(each, ast.arg):
                each.annotation = ast.Constant("NoSuchType")
        node.returns = ast.Constant("NoSuchType")
        shared = {name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names}
        _HintedLocals(shared).visit(node)
    return [node]


class _HintedLocals(ast.NodeTransformer):
    def __init__(self, shared: Collection[str]) -> None:
        self._shared = shared

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Its hints are there to be read."""
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        target = node.targets[0]
        if len(node.targets) > 1 or not isinstance(target, ast.Name) or target.id in self._shared:
            return node
        return ast.AnnAssign(target, ast.Constant("NoSuchType"), node.value, simple=1)


@_rewrite
def local_names(text: str, names: Collection[str]) -> str:
    """Every local variable under another name."""
    return _changed(text, names, _renamed)


def _renamed(node: ast.FunctionDef, _: Sequence[Scope]) -> list[ast.stmt]:
    if not _knows_its_names(node):
        renamed = _Renamed(_locals(node))
        node.body = [renamed.visit(each) for each in node.body]
    return [node]


def _locals(node: ast.FunctionDef) -> set[str]:
    """The names that are variables of a function, or of what is in it, wherever they stand in it, and nothing else."""
    around = symtable.symtable(ast.unparse(node), "<function>", "exec")
    table = next(each for each in around.get_children() if each.get_name() == node.name)
    variables: set[str] = set()
    others = {name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names}
    for each in ast.walk(node):
        if isinstance(each, ast.MatchAs | ast.MatchStar) and each.name:
            others.add(each.name)
        elif isinstance(each, ast.MatchMapping) and each.rest:
            others.add(each.rest)
    tables = [table]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            is_other = symbol.is_global() or symbol.is_parameter() or symbol.is_imported() or symbol.is_namespace()
            if is_other or (table.get_type() == "class" and symbol.is_local()):
                others.add(symbol.get_name())
            elif symbol.is_assigned():
                variables.add(symbol.get_name())
    return variables - others


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: Collection[str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self._names:
            node.id = f"{_MARK}{node.id}"
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        if node.name in self._names:
            node.name = f"{_MARK}{node.name}"
        return self.generic_visit(node)


@_rewrite
def parameters(text: str, names: Collection[str]) -> str:
    """One parameter more, with a default."""
    return _changed(text, names, _with_parameter)


def _with_parameter(node: ast.FunctionDef, _: Sequence[Scope]) -> list[ast.stmt]:
    if not _is_read(node) and not _knows_its_names(node):
        if node.args.vararg or node.args.kwonlyargs:
            node.args.kwonlyargs.append(ast.arg(f"{_MARK}option"))
            node.args.kw_defaults.append(ast.Constant(None))
        else:
            node.args.args.append(ast.arg(f"{_MARK}option"))
            node.args.defaults.append(ast.Constant(None))
    return [node]


@_rewrite
def helpers(text: str, names: Collection[str]) -> str:
    """What a function does in a helper of the module, which it calls with all that it is given."""
    numbers = itertools.count()
    return _changed(text, names, lambda node, outer: _extracted(node, outer, f"_{_MARK}{next(numbers)}_{node.name}"))


def _extracted(node: ast.FunctionDef, outer: Sequence[Scope], name: str) -> list[ast.stmt]:
    if _is_read(node) or _knows_its_depth(node):
        return [node]
    given = node.args
    passed: list[ast.expr] = [ast.Name(each.arg, ast.Load()) for each in (*given.posonlyargs, *given.args)]
    keywords = [ast.keyword(each.arg, ast.Name(each.arg, ast.Load())) for each in given.kwonlyargs]
    taken = copy.deepcopy(given)
    taken.defaults, taken.kw_defaults = [], [None for _ in given.kwonlyargs]
    for each in ast.walk(taken):
        if isinstance(each, ast.arg):
            each.annotation = None
    if given.vararg:
        passed.append(ast.Starred(ast.Name(given.vararg.arg, ast.Load()), ast.Load()))
    if given.kwarg:
        keywords.append(ast.keyword(None, ast.Name(given.kwarg.arg, ast.Load())))
    docstring, body = node.body[: _has_docstring(node)], node.body[_has_docstring(node) :]
    if not body:
        return [node]
    helper = ast.FunctionDef(name, taken, body, [], None)
    called: ast.expr = ast.Call(ast.Name(name, ast.Load()), passed, keywords)
    if _is_generator(node):
        called = ast.YieldFrom(called)
    node.body = [*docstring, ast.Return(called)]
    if _knows_its_class(helper) or sum(isinstance(each, ast.ClassDef) for each in outer) > 1:
        node.body.insert(len(docstring), helper)
        return [node]
    return [helper, node]


def _knows_its_class(node: ast.FunctionDef) -> bool:
    """Whether it uses `super()`, or names that are mangled in a class."""
    words = (getattr(each, field, None) for each in ast.walk(node) for field in ("id", "attr", "arg", "name"))
    return any(
        word == "super" or (isinstance(word, str) and word.startswith("__") and not word.endswith("__"))
        or word == "__class__" for word in words
    )  # fmt: skip


def _is_generator(node: ast.FunctionDef) -> bool:
    return any(isinstance(each, ast.Yield | ast.YieldFrom) for each in _own(node))


@_rewrite
def order(text: str, names: Collection[str]) -> str:
    """Functions that nothing needs while the file is imported at its end, in the other order; methods likewise."""
    module = ast.parse(text)
    needed = _needed_at_import(module)
    bound = [name for node in module.body for name in _binds(node)]
    moved = [
        node
        for node in module.body
        if isinstance(node, ast.FunctionDef)
        and _is_wanted(node.name, names)
        and node.name not in needed
        and bound.count(node.name) == 1
    ]
    module.body = [node for node in module.body if node not in moved] + moved[::-1]
    for each in module.body:
        if isinstance(each, ast.ClassDef) and _is_wanted(each.name, names):
            each.body = _with_methods_reversed(each.body)
    return ast.unparse(module)


def _needed_at_import(module: ast.Module) -> set[str]:
    """What may be looked up while the module is executed; a function that is looked up may be called."""
    bodies: dict[str, set[str]] = {}
    needed: set[str] = set()
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            bodies.setdefault(node.name, set()).update(*map(_words, node.body))
            needed |= _words(node.args).union(*map(_words, node.decorator_list))
        elif "__all__" not in _binds(node):
            needed |= _words(node)
    while more := set().union(*(bodies.get(name, set()) for name in needed)) - needed:
        needed |= more
    return needed


def _words(node: ast.AST) -> set[str]:
    """Names, and what may be names: `globals()["name"]`."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} | {
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def _binds(node: ast.stmt) -> Iterator[str]:
    for each in ast.walk(node) if not isinstance(node, ast.FunctionDef | ast.ClassDef) else [node]:
        if isinstance(each, ast.FunctionDef | ast.ClassDef):
            yield each.name
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id
        elif isinstance(each, ast.alias):
            yield each.asname or each.name


def _with_methods_reversed(body: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Methods that follow each other the other way round, where none is needed to define the others."""
    made: list[ast.stmt] = []
    for are_methods, group in itertools.groupby(body, lambda node: isinstance(node, ast.FunctionDef)):
        nodes = list(group)
        methods = [node for node in nodes if isinstance(node, ast.FunctionDef)]
        defined = {node.name for node in methods}
        outside = [each for node in methods for each in (node.args, *node.decorator_list)]
        is_free = len(defined) == len(methods) and not any(defined & _words(each) for each in outside)
        made += nodes[::-1] if are_methods and is_free else nodes
    return made


@_rewrite
def quotes(text: str, _: Collection[str]) -> str:
    """Plain strings in the other quotes."""
    depth = 0
    tokens: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        depth += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        if kind == "STRING" and not depth and re.fullmatch(r"([\"'])[^\"'\\\n]*\1", token.string):
            other = "'" if token.string[0] == '"' else '"'
            tokens.append(token._replace(string=f"{other}{token.string[1:-1]}{other}"))
        else:
            tokens.append(token)
    return tokenize.untokenize(tokens)


# --- Which functions, and what they are.


def _changed(text: str, names: Collection[str], change: Change) -> str:
    """The text with the outermost functions that are named changed."""
    module = _Changer(names, change).visit(ast.parse(text))
    return ast.unparse(ast.fix_missing_locations(module))


def _is_wanted(name: str, names: Collection[str]) -> bool:
    """Whether it, or all that it is in, is named."""
    return any(each == "*" or f"{name}.".startswith(f"{each}.") for each in names)


class _Changer(ast.NodeTransformer):
    def __init__(self, names: Collection[str], change: Change) -> None:
        self._names = names
        self._change = change
        self._outer: list[Scope] = []
        self._before_class: list[ast.stmt] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | list[ast.stmt]:
        path = ".".join(each.name for each in (*self._outer, node))
        if not _is_wanted(path, self._names):
            return self._within(node)
        *before, made = self._change(node, self._outer)
        if self._outer and isinstance(self._outer[-1], ast.ClassDef):
            self._before_class += before
            return made
        return [*before, made]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | list[ast.stmt]:
        if self._outer and isinstance(self._outer[-1], ast.ClassDef):
            return self._within(node)
        others, self._before_class = self._before_class, []
        made = self._within(node)
        before, self._before_class = self._before_class, others
        return [*before, made]

    def _within(self, node: Scope) -> ast.stmt:
        self._outer.append(node)
        self.generic_visit(node)
        self._outer.pop()
        return node


def _has_docstring(node: ast.FunctionDef) -> bool:
    return ast.get_docstring(node, clean=False) is not None


def _is_read(node: ast.FunctionDef) -> bool:
    """Whether somebody reads more of it than what it does."""
    return any(_last_name(each) in _READERS for each in node.decorator_list)


def _last_name(node: ast.expr) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")


def _knows_its_depth(node: ast.FunctionDef) -> bool:
    return any(_last_name(each) in _FRAMES for each in ast.walk(node) if isinstance(each, ast.Call))


def _knows_its_names(node: ast.FunctionDef) -> bool:
    """Whether it may look at what its variables are called."""
    calls = [(_last_name(each), len(each.args)) for each in ast.walk(node) if isinstance(each, ast.Call)]
    given = {"locals": 1, "vars": 1, "dir": 1, "eval": 2, "exec": 2}
    return _knows_its_depth(node) or any(num < given.get(name, 0) for name, num in calls)


def _own(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """What is in a function, and in no function in it."""
    stack: list[ast.AST] = list(node.body)
    while stack:
        each = stack.pop()
        yield each
        if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack += ast.iter_child_nodes(each)
