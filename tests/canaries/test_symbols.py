"""Where a definition is, and what its digest tells apart."""

from __future__ import annotations

import ast

import pytest

from harness.canaries.symbols import digest_of, elsewhere, find, parameters_of
from tests.canaries.making import GUARD, WHERE, tree

BRANCHES = """
try:
    import fast
    def chosen(): return fast.x
except ImportError:
    def chosen(): return 1
class Layer:
    def forward(self, x): return x
def outer():
    def inner(): return 2
    return inner
STATE = {"fallback": 0}
LEFT: int = 1
"""


@pytest.mark.parametrize("name", ["chosen", "Layer", "Layer.forward", "outer.inner", "STATE", "LEFT"])
def test_a_definition_is_found(name: str) -> None:
    """In branches, classes and functions too; a value by what it is assigned to."""
    found = find(tree(BRANCHES), WHERE, name)
    assert found is not None
    assert name == found.name
    assert f"{name} in {WHERE}, line" in str(found)


def test_the_last_definition_counts() -> None:
    """As it does for Python."""
    found = find(tree("def f(): return 1\ndef f(): return 2\n"), WHERE, "f")
    assert found is not None
    assert 2 == found.line


@pytest.mark.parametrize("name", ["inner", "forward", "missing", "outer.missing", "fast"])
def test_what_is_not_defined_there_is_not_found(name: str) -> None:
    """Neither what is in another scope, nor what is imported."""
    assert find(tree(BRANCHES), WHERE, name) is None
    assert find(tree(BRANCHES), "guarded/missing.py", name) is None


def test_a_guard_that_moved_is_found_elsewhere() -> None:
    """In another file by its name, in the same file by its code; what cannot be parsed is passed over."""
    renamed = GUARD.replace("def count(", "def count_experts(")
    node = ast.parse(GUARD).body[1]
    files = {
        WHERE: renamed,
        "guarded/other.py": GUARD,
        "guarded/broken.py": "def count(:",
        "guarded/says.py": "# count",
    }
    places = [str(place) for place in elsewhere(tree(files), WHERE, "count", [digest_of(node)])]
    assert ["count in guarded/other.py, line 5", f"count_experts in {WHERE}, line 5"] == places


def digest(source: str) -> str:
    """Of the one function of a source."""
    return digest_of(ast.parse(source).body[0])


PLAIN = "def f(a, b=1):\n    total = a + b\n    return total\n"


@pytest.mark.parametrize(
    "same",
    [
        "def f(a, b = 1):\n    total = (a +\n        b)  # sum\n    return total\n",
        'def f(a, b=1):\n    """Adds."""\n    total = a + b\n    return total\n',
        "def f(a: int, b: int = 1) -> int:\n    total: int = a + b\n    return total\n",
        "def f(a, b=1):\n    result = a + b\n    return result\n",
        "def g(a, b=1):\n    total = a + b\n    return total\n",
    ],
    ids=["formatting", "docstring", "hints", "locals", "its name"],
)
def test_a_digest_is_of_what_is_computed(same: str) -> None:
    """Not of how it is written."""
    assert digest(PLAIN) == digest(same)


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("a + b", "a - b"),
        PLAIN.replace("b=1", "b=2"),
        PLAIN.replace("return total", "return a"),
        PLAIN.replace("a + b", "a + other"),
        PLAIN.replace("(a, b=1)", "(a, c=1)").replace("a + b", "a + c"),
        "def f(a, b=1):\n    global total\n    total = a + b\n    return total\n",
    ],
    ids=["an operator", "a default", "what is returned", "another name", "a parameter", "a global"],
)
def test_another_digest_is_another_function(other: str) -> None:
    """Parameters count: callers name them."""
    assert digest(PLAIN) != digest(other)


TRIED = "def f(a):\n    try:\n        a()\n    except ValueError as error:\n        return error.args\n"


def test_what_a_caught_error_is_called_is_no_difference() -> None:
    """But what is done with it is."""
    assert digest(TRIED) == digest(TRIED.replace("error", "caught"))
    assert digest(TRIED) != digest(TRIED.replace("error.args", "a.args"))
    assert digest(TRIED) != digest(TRIED.replace("error.args", "other.args"))


def test_parameters() -> None:
    """In order, without stars; none of what is no function."""
    function, value = ast.parse("def f(a, /, b, *rest, c=1, **more): pass\nX = 1").body
    assert isinstance(function, ast.FunctionDef)
    assert isinstance(value, ast.Assign)
    assert ("a", "b", "c") == parameters_of(function)
    assert parameters_of(value) is None
