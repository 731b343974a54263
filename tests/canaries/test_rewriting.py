"""The harmless rewrites: each changes what it says, and nothing that is computed."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from harness.canaries.symbols import digest_of, find
from harness.canaries.trees import Tree
from harness.records.canaries import KnownBroken, State, Verdict
from tests.canaries.making import GUARD, WHERE, rule, tree
from tests.canaries.rewrites import is_alarm, rewritten
from tests.canaries.rewriting import REWRITES, UNSEEN, rewrite

SOURCE = '''
"""A module."""
from __future__ import annotations
import functools

TOTAL = 0
x = 100  # of the module


def doubled(function):
    """Needed at import."""
    return lambda *given: 2 * scale * function(*given)


scale = len("a")


def count(first, /, second=2, *rest, third: int = 3, **more):
    """Adds up."""
    global TOTAL
    TOTAL += 1
    total = first + second + third  # so far
    for each in rest:
        total += each

    def add(value):
        nonlocal total
        total += value

    add(sum(more.values()))
    squares = [x * each for each in range(3)]
    try:
        raise ValueError("wrong")
    except ValueError as error:
        message = f"{error} {total!r}"
    return total, squares, message, (lambda y: [total for total in range(y)])(2)


def numbers(length):
    """A generator."""
    sent = 0
    for number in range(length):
        sent = (yield number) or sent
    return sent


def asked(first, second=1):
    """Hands on all that it was given."""
    given = dict(locals())
    return given


@doubled
def made(a, b):
    class Inner:
        size = a
        both = size + b

        def area(self):
            size = 3
            return self.size * size + b

    return Inner().area() + Inner.both


class Base:
    def __init__(self, size):
        kept = size
        self.size = kept
        self.__hidden = 1

    @property
    def area(self):
        side = self.size
        return side * side + self.__hidden

    @area.setter
    def area(self, value):
        side = value
        self.size = side


class Cube(Base):
    """Of a Base."""

    faces = 6

    def __init__(self, size, *more):
        super().__init__(size)
        self.more = [each for each in more]

    @staticmethod
    def unit():
        edge = 1
        return Cube(edge)

    @classmethod
    def of(cls, size):
        made = cls(size)
        made.area = size + 1
        return made

    def surface(self):
        faces = self.faces
        return faces * super().area

    def outer(self):
        def inner(a):
            found = a + 1
            return found

        return inner(self.size)
'''
NAMES = {"*"}


def computed(text: str) -> list[Any]:
    """All that can be seen of the source, from the outside."""
    module: dict[str, Any] = {}
    exec(compile(text, "<source>", "exec"), module)
    generator = module["numbers"](3)
    sent = [next(generator), generator.send("a"), generator.send(None)]
    with pytest.raises(StopIteration) as stopped:
        generator.send("c")
    cube = module["Cube"].of(4)
    return [
        module["count"](1), module["count"](1, 2, 3, 4, third=5, fourth=6), module["TOTAL"],
        sent, stopped.value.value, module["asked"](3), module["made"](2, 5),
        module["Cube"].unit().surface(), cube.surface(), cube.area, cube.outer(), module["Cube"](1, 2, 3).more,
    ]  # fmt: skip


@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_changes_the_text_and_nothing_else(name: str) -> None:
    """Of everything that is there, in all the ways in which functions look at names."""
    made = REWRITES[name](SOURCE, NAMES)
    assert made != SOURCE
    assert name == "formatting" or ast.dump(ast.parse(made)) != ast.dump(ast.parse(SOURCE)) or name == "quotes"
    assert computed(SOURCE) == computed(made)


def test_all_of_them_at_once() -> None:
    """One on top of the other."""
    assert computed(SOURCE) == computed(rewrite(SOURCE, NAMES))


@pytest.mark.parametrize(
    ("name", "there", "gone"),
    [
        ("formatting", "total = first + second + third\n", "# so far"),
        ("docstrings", "Rewritten.", "Adds up."),
        ("hints", "def count(first: 'NoSuchType', /, second: 'NoSuchType'=2", "third: int"),
        ("hints", "squares: 'NoSuchType' = [", "    TOTAL: "),
        ("hints", "faces: 'NoSuchType' = self.faces", "    size: 'NoSuchType' = a\n"),
        ("local_names", "rewritten_squares = [x * rewritten_each for rewritten_each", " squares"),
        ("local_names", "as rewritten_error", "rewritten_x"),
        ("local_names", "given = dict(locals())", "rewritten_size"),
        ("parameters", "third: int=3, rewritten_option=None, **more", "def asked(first, second=1, "),
        ("parameters", "def numbers(length, rewritten_option=None)", "yield from"),
        ("helpers", "return (yield from _rewritten_2_numbers(length))", "return _rewritten_2_numbers"),
        ("helpers", "(first, second, *rest, third=third, **more)", "_doubled(function) + "),
        ("helpers", "        def _rewritten_6_area(self):", "\ndef _rewritten_6_area(self):"),
        ("quotes", "'a'", '"wrong"'),
    ],
)
def test_what_a_rewrite_does(name: str, there: str, gone: str) -> None:
    """And what it leaves alone, as something would see it."""
    made = REWRITES[name](SOURCE, NAMES)
    assert there in made
    assert gone not in made


def test_another_order() -> None:
    """Of what nothing needs while the file is imported."""
    defined = [node.name for node in ast.parse(REWRITES["order"](SOURCE, NAMES)).body if hasattr(node, "name")]
    assert ["doubled", "made", "Base", "Cube", "asked", "numbers", "count"] == defined


def test_only_what_is_named_is_rewritten() -> None:
    """A method without the others, and a function in a function."""
    made = ast.parse(REWRITES["helpers"](SOURCE, {"Cube.unit", "Cube.outer.inner", "numbers"}))
    defined = [node.name for node in ast.walk(made) if isinstance(node, ast.FunctionDef)]
    assert {"_rewritten_0_numbers", "_rewritten_1_unit", "_rewritten_2_inner"} == {
        name for name in defined if name.startswith("_rewritten_")
    }


def test_f_strings_keep_their_quotes() -> None:
    """Older Pythons read no others in them."""
    text = "x = {'a': 1}\ny = f\"{x['a']}\"\n"
    assert 'x = {"a": 1}\ny = f"{x[\'a\']}"\n' == REWRITES["quotes"](text, NAMES)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_changes_no_digest(name: str) -> None:
    """The code is what was read."""
    for source, guard in ((GUARD, "count"), (SOURCE, "count"), (SOURCE, "Cube"), (SOURCE, "numbers")):
        before, after = find(tree(source), WHERE, guard), find(tree(REWRITES[name](source, NAMES)), WHERE, guard)
        assert before is not None
        assert after is not None
        assert digest_of(before.node) == digest_of(after.node)


DECLARED = (
    KnownBroken(
        releases=">0", calls=("count",), reason="upstream's own", thread="https://example.org/2", expires="2100-01-01"
    ),
)


@pytest.mark.parametrize(
    ("name", "known", "no_alarm"),
    [
        ("formatting", (), {State.HELD}),
        ("helpers", (), {State.HELD, State.CHANGED, State.MOVED}),
        ("helpers", DECLARED, {State.BROKEN}),
    ],
)
def test_an_alarm(name: str, known: tuple[KnownBroken, ...], no_alarm: set[State]) -> None:
    """Is whatever would not be said of the guard as it was."""
    guard = rule(known=known, of_release="1.0")
    silent = {
        state
        for state in State
        if not is_alarm(guard, Verdict(rule="count", state=state, counts=True, why="", looked_at=()), name)
    }
    assert no_alarm == silent


def test_guards_are_rewritten_where_they_are() -> None:
    """In any file; of a package that is imported, all of the file."""
    other = "guarded/other.py"
    release = tree({WHERE: "def count(): return 1\ndef more(): return 2\n", other: "def far(): return 3\n"})
    taken_out = rule(symbols={"count": "count", "far": f"{other}:far"})
    assert {WHERE: 1, other: 1} == num_rewritten(rewritten(release, [taken_out], "docstrings"))
    assert {WHERE: 2, other: 0} == num_rewritten(rewritten(release, [rule(symbols={}, behaviour=True)], "docstrings"))


def num_rewritten(release: Tree) -> dict[str, int]:
    """The functions with another docstring, by file."""
    return {path: release.text(path).count("Rewritten.") for path in release.files}
