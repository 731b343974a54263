"""Draws what guards are given: other numbers each time, which no guard can know beforehand. Pure but for a seed."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np

from harness.errors import CaseError
from harness.records.canaries import Call

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}  # fmt: skip


def draw(given: Mapping[str, Any], random: Random, where: str) -> dict[str, Any]:
    """A value by name, as JSON has it: whole numbers first, all of them different, then arrays as nested lists.

    Raises CaseError naming `where` for what cannot be drawn.
    """
    values: dict[str, Any] = {}
    drawn: set[int] = set()
    for name, what in given.items():
        if isinstance(what, list) and len(what) == 2 and all(isinstance(each, int) for each in what):
            free = [number for number in range(what[0], what[1] + 1) if number not in drawn]
            if not free:
                raise CaseError("no number is left to draw", where=f"{where}: given.{name}", got=str(what))
            values[name] = random.choice(free)
            drawn.add(values[name])
    for name, what in given.items():
        if isinstance(what, str):
            values[name] = evaluate(what, values, f"{where}: given.{name}")
        elif isinstance(what, Mapping):
            values[name] = _array(what, values, random, f"{where}: given.{name}")
        elif name not in values:
            values[name] = what
    return values


def named(given: Mapping[str, Any], calls: Sequence[Call]) -> dict[str, Any]:
    """What is given, without the arrays that no call names: rules of one template have them in common."""
    words = set(re.findall(r"\w+", repr(calls)))
    return {name: what for name, what in given.items() if name in words or not isinstance(what, Mapping)}


def _array(what: Mapping[str, Any], values: Mapping[str, Any], random: Random, where: str) -> Any:
    if set(what) != {"normal"} or not isinstance(what["normal"], list):
        raise CaseError("unknown way to draw", where=where, expected='{normal = ["E * r", "H"]}', got=str(dict(what)))
    shape = [int(evaluate(str(each), values, where)) for each in what["normal"]]
    # Few bits, so that sums and products of them are exact in float32: what is compared are deltas, and no roundings.
    numbers = np.random.default_rng(random.getrandbits(64)).integers(-64, 64, shape)
    return (numbers / 16).tolist()


def evaluate(expression: str, values: Mapping[str, Any], where: str) -> float:
    """A number: names, whole numbers, and + - * / // of them. Raises CaseError."""
    try:
        return _number(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, KeyError, TypeError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise CaseError("is no expression of numbers that are given", where=where, got=expression) from error


def _number(node: ast.expr, values: Mapping[str, Any]) -> float:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    if isinstance(node, ast.Name) and type(values[node.id]) is int:
        return int(values[node.id])
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_number(node.left, values), _number(node.right, values))
    raise TypeError(ast.dump(node))
