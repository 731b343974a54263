"""Harmless rewrites of functions: what maintainers do every week, and no canary may sing at. Each by its own name."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Collection

Rewrite = Callable[[str, Collection[str]], str]
"""A file's text, and the names of the functions to rewrite in it, to another text that does the same."""
REWRITES: dict[str, Rewrite] = {}
_MARKED = "rewritten_"


def _rewrite(function: Rewrite) -> Rewrite:
    REWRITES[function.__name__] = function
    return function


@_rewrite
def formatting(text: str, _: Collection[str]) -> str:
    """Everything in another format, without comments."""
    return ast.unparse(ast.parse(text))


@_rewrite
def quotes(text: str, _: Collection[str]) -> str:
    """Plain strings in the other quotes."""
    tokens = [
        token._replace(string=f"'{token.string[1:-1]}'")
        if token.type == tokenize.STRING and re.fullmatch(r'"[^"\'\\\n]*"', token.string)
        else token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
    ]
    return tokenize.untokenize(tokens)


@_rewrite
def docstrings(text: str, names: Collection[str]) -> str:
    """Another docstring, and a comment's worth of a string after it."""
    return _changed(text, names, _with_docstring)


def _with_docstring(node: ast.FunctionDef) -> list[ast.stmt]:
    node.body = [ast.Expr(ast.Constant("Rewritten.")), ast.Expr(ast.Constant("On purpose.")), *node.body]
    return [node]


@_rewrite
def hints(text: str, names: Collection[str]) -> str:
    """A type hint on every parameter, and on what is returned; of names that are nowhere."""
    return _changed(text, names, _hinted)


def _hinted(node: ast.FunctionDef) -> list[ast.stmt]:
    for each in ast.walk(node.args):
        if isinstance(each, ast.arg):
            each.annotation = ast.Name("NoSuchType", ast.Load())
    node.returns = ast.Name("NoSuchType", ast.Load())
    return [node]


@_rewrite
def parameters(text: str, names: Collection[str]) -> str:
    """One parameter more, with a default."""
    return _changed(text, names, _with_parameter)


def _with_parameter(node: ast.FunctionDef) -> list[ast.stmt]:
    node.args.kwonlyargs.append(ast.arg(f"{_MARKED}option"))
    node.args.kw_defaults.append(ast.Constant(None))
    return [node]


@_rewrite
def local_names(text: str, names: Collection[str]) -> str:
    """Every local variable under another name."""
    return _changed(text, names, _renamed)


def _renamed(node: ast.FunctionDef) -> list[ast.stmt]:
    inner = [each for each in ast.walk(node) if isinstance(each, ast.FunctionDef | ast.Lambda | ast.ClassDef)]
    parameters = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
    shared = {name for each in ast.walk(node) if isinstance(each, ast.Global | ast.Nonlocal) for name in each.names}
    bound = {each.name for each in inner if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    stored = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    local = stored - parameters - shared - bound
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and each.id in local:
            each.id = f"{_MARKED}{each.id}"
    return [node]


@_rewrite
def order(text: str, names: Collection[str]) -> str:
    """The functions at the end of the file, in the other order."""
    module = ast.parse(text)
    moved = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name in names]
    module.body = [node for node in module.body if node not in moved] + moved[::-1]
    return ast.unparse(module)


@_rewrite
def helpers(text: str, names: Collection[str]) -> str:
    """What a function does in a helper, which it calls with all that it is given."""
    return _changed(text, names, _extracted)


def _extracted(node: ast.FunctionDef) -> list[ast.stmt]:
    arguments = node.args
    passed: list[ast.expr] = [ast.Name(each.arg, ast.Load()) for each in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg:
        passed.append(ast.Starred(ast.Name(arguments.vararg.arg, ast.Load()), ast.Load()))
    keywords = [ast.keyword(each.arg, ast.Name(each.arg, ast.Load())) for each in arguments.kwonlyargs]
    if arguments.kwarg:
        keywords.append(ast.keyword(None, ast.Name(arguments.kwarg.arg, ast.Load())))
    helper = ast.FunctionDef(f"_{_MARKED}{node.name}", arguments, node.body, [], None)
    call = ast.Call(ast.Name(helper.name, ast.Load()), passed, keywords)
    caller = ast.FunctionDef(node.name, arguments, [ast.Return(call)], node.decorator_list, None)
    return [helper, caller]


def _changed(text: str, names: Collection[str], change: Callable[[ast.FunctionDef], list[ast.stmt]]) -> str:
    """The text with each of the module's own functions that is named changed."""
    module = ast.parse(text)
    body: list[ast.stmt] = []
    for node in module.body:
        body += change(node) if isinstance(node, ast.FunctionDef) and node.name in names else [node]
    module.body = body
    return ast.unparse(ast.fix_missing_locations(module))
