"""What is taken out of a package with a guard, and what is left."""

from __future__ import annotations

import ast
from collections.abc import Mapping

import pytest

from harness.canaries.extracting import Program, extract
from harness.canaries.symbols import find
from harness.canaries.trees import Unparsable
from tests.canaries.making import WHERE, tree


def program(files: Mapping[str, str] | str, name: str = "guard", needs: tuple[str, ...] = ()) -> Program:
    """Of one symbol."""
    package = tree(files)
    symbol = find(package, WHERE, name)
    assert symbol is not None
    return extract(package, {"guard": symbol}, needs)


def defined(program: Program, module: str = "guarded.saving") -> set[str]:
    """The names that a module defines by itself."""
    body = ast.parse(program.modules[module]).body
    return {each.name for each in body if isinstance(each, ast.FunctionDef | ast.ClassDef)}


def test_helpers_come_with_it_and_nothing_else() -> None:
    """Also what helpers need, and what decides a value."""
    source = """
print("imported")
LIMIT = 1
LIMIT += helper()
STATE = {}
STATE.update(a=1)
UNUSED = 2
def helper(): return 3
def unused(): return UNUSED
def guard(x): return LIMIT + other(x) + len(STATE)
def other(x): return x
"""
    made = program(source)
    text = made.modules["guarded.saving"]
    assert {"guard", "other", "helper"} == defined(made)
    assert "LIMIT += helper()" in text
    assert "STATE.update(a=1)" in text
    assert "UNUSED" not in text
    assert "print" not in text
    assert {"guard": "guarded.saving:guard"} == made.symbols
    assert not made.stand_ins


def test_branches_stay_whole() -> None:
    """Which of them is taken is decided where it is executed."""
    source = "try:\n    from fast import helper\nexcept ImportError:\n    def helper(): return 1\n"
    source += "def guard(): return helper()\n"
    made = program(source)
    assert "except ImportError" in made.modules["guarded.saving"]
    assert not made.stand_ins


def test_helpers_of_other_files_come_too() -> None:
    """However they are imported."""
    files = {
        WHERE: "from .layouts import detect\nfrom guarded.deep.parts import part as p\n"
        "def guard(): return detect() + p()\n",
        "guarded/layouts.py": "from . import SIZE\nUNUSED = 1\ndef detect(): return SIZE\n",
        "guarded/__init__.py": "print('hello')\nSIZE = 4\nimport accelerator\n",
        "guarded/deep/__init__.py": "raise ImportError\n",
        "guarded/deep/parts.py": "def part(): return 5\ndef unused(): return 6\n",
    }
    made = program(files)
    assert {"guarded.saving", "guarded.layouts", "guarded", "guarded.deep.parts"} == set(made.modules)
    assert "SIZE = 4" in made.modules["guarded"]
    assert "print" not in made.modules["guarded"]
    assert {"part"} == defined(made, "guarded.deep.parts")
    assert not made.stand_ins


def test_packages_that_are_not_needed_are_stand_ins() -> None:
    """But for Python's own, for those that are needed, and for those in a `try`."""
    source = """
import os
import torch
import torch.nn.functional as F
from bitsandbytes.nn import Linear4bit
try:
    import triton
except ImportError:
    triton = None
def guard(): return os, torch, F, Linear4bit, triton
"""
    assert ("bitsandbytes", "torch") == program(source).stand_ins
    assert ("bitsandbytes",) == program(source, needs=("torch",)).stand_ins


def test_a_function_in_a_function_is_lifted_out() -> None:
    """With what the outer one imports, and without what it does."""
    source = "K = 2\ndef patch():\n    import math\n    install()\n"
    source += "    def inner(x): return math.sqrt(x) * K\n    return inner\n"
    made = program(source, "patch.inner")
    assert {"guard": "guarded.saving:inner"} == made.symbols
    assert {"inner"} == defined(made)
    assert "K = 2" in made.modules["guarded.saving"]
    assert "install" not in made.modules["guarded.saving"]


def test_a_function_in_a_function_comes_with_those_beside_it() -> None:
    """With all that it calls, and no other."""
    source = "def patch():\n    def far(x): return x\n    def near(x): return far(x)\n    def unused(): return 1\n"
    source += "    def inner(x): return near(x)\n    return inner\n"
    assert {"inner", "near", "far"} == defined(program(source, "patch.inner"))


def test_a_method_comes_with_its_class() -> None:
    """And with what the class is of."""
    made = program("class Base: pass\nclass Layer(Base):\n    def forward(self): return 1\n", "Layer.forward")
    assert {"guard": "guarded.saving:Layer.forward"} == made.symbols
    assert {"Base", "Layer"} == defined(made)


def test_hints_are_not_followed() -> None:
    """What is only a type need not be there."""
    made = program("from torch import Tensor\ndef guard(x: Tensor) -> Tensor:\n    y: Tensor = x\n    return y\n")
    assert "torch" not in made.modules["guarded.saving"].replace("Tensor", "")
    assert not made.stand_ins


@pytest.mark.parametrize("source", ["def guard(:", "def guard(): return '\\ud800'\n\0", "(" * 500 + ")" * 500])
def test_what_python_cannot_read(source: str) -> None:
    """Is said of the file."""
    with pytest.raises(Unparsable, match=WHERE):
        find(tree(source), WHERE, "guard")
