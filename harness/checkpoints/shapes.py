"""Numbers from configuration expressions: what a family's table writes as "num_attention_heads * head_dim".

Evaluates names of configuration fields, whole numbers, + - * // and brackets, and nothing else.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from harness.errors import CaseError

OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


def size(expression: str | int, config: Mapping[str, Any], *, where: str, at_least: int = 1) -> int:
    """The value of `expression` for `config`. Raises CaseError, with `where`, if it has none or is too small."""
    try:
        value = expression if isinstance(expression, int) else _evaluate(_parse(expression), config)
    except (SyntaxError, ValueError, ZeroDivisionError) as error:
        raise CaseError(f"cannot evaluate {expression!r}: {error}", where=where) from error
    if value < at_least:
        raise CaseError(f"{expression!r} is too small", where=where, expected=f"at least {at_least}", got=str(value))
    return value


@lru_cache(maxsize=4096)
def _parse(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


def _evaluate(node: ast.expr, config: Mapping[str, Any]) -> int:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_evaluate(node.left, config), _evaluate(node.right, config))
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name):
        value = config.get(node.id)
        if type(value) is not int:
            raise ValueError(f"the configuration's {node.id} is {value!r}, not a whole number")
        return value
    raise ValueError("only names, whole numbers and + - * // can be used")
