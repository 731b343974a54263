"""What rules of unsloth_zoo and unsloth ask of the engine: little is taken out, and it is executed as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.canaries.checking import check
from harness.canaries.extracting import Program, extract
from harness.canaries.symbols import digest_of, find
from harness.canaries.trees import Tree
from harness.records.canaries import Call, Example, Rule, State, Verdict
from harness.sandbox.client import Sandbox


def tree(files: Mapping[str, str]) -> Tree:
    """A package `zoo`."""
    return Tree("zoo", "1", {path: text.encode() for path, text in files.items()}, "a test", "digest")


def taken(files: Mapping[str, str], path: str, name: str) -> Program:
    """What is taken out with a symbol."""
    from_ = tree(files)
    symbol = find(from_, path, name)
    assert symbol is not None
    return extract(from_, {"guard": symbol}, ())


def verdict(sandbox: Sandbox, files: Mapping[str, str], **more: Any) -> Verdict:
    """Of a rule about `guard` in zoo/guards.py that must answer 1."""
    rule = Rule(**{
        "name": "one", "why": "a test", "thread": "none", "expected": "", "where": "zoo/guards.py",
        "symbols": {"guard": "guard"}, "calls": (Call(name="one", call="guard()", returns=1),),
        "bad": (Example(name="none", source="none"),), **more,
    })  # fmt: skip
    return check(rule, tree(files), sandbox, lambda _: Path("/nowhere"), "seed")


def test_of_an_import_only_what_is_needed_is_followed() -> None:
    """The other names of it would bring half of a package."""
    files = {
        "zoo/guards.py": "from .more import one, two\ndef guard(): return one()\n",
        "zoo/more.py": "import far_away\ndef one(): return 1\ndef two(): return far_away.two()\n",
    }
    program = taken(files, "zoo/guards.py", "guard")
    assert () == program.stand_ins
    assert "two" not in program.modules["zoo.guards"] + program.modules["zoo.more"]
    assert "one" in program.modules["zoo.guards"]


def test_of_what_an_outer_function_imports_too() -> None:
    """A function in a function is lifted out with what it uses of it."""
    source = (
        "def outer():\n    from far_away import Thing\n    from json import dumps\n    def guard(): return dumps(1)"
    )
    program = taken({"zoo/guards.py": source}, "zoo/guards.py", "outer.guard")
    assert () == program.stand_ins
    assert "Thing" not in program.modules["zoo.guards"]


def test_two_names_of_one_import_are_both_kept(sandbox: Sandbox) -> None:
    """Needed one after the other."""
    files = {
        "zoo/guards.py": "from .more import one, no\ndef guard(): return other() * one\ndef other(): return 1 - no\n",
        "zoo/more.py": "one, no = 1, 0\n",
    }
    assert State.HELD is verdict(sandbox, files).state


def test_a_module_imports_from_beside_itself(sandbox: Sandbox) -> None:
    """Inside functions too, where the import is as it was."""
    files = {
        "zoo/guards.py": "def guard():\n    from .more import one\n    return one\n",
        "zoo/more.py": "one = 1\n",
        "zoo/__init__.py": "",
    }
    assert State.HELD is verdict(sandbox, files).state


def test_what_is_executed_before_finds_nothing_loaded(sandbox: Sandbox) -> None:
    """It can answer for a machine that a package refuses; what is executed after sees the symbols."""
    files = {"zoo/guards.py": "import machine\nASKED = machine.device\ndef guard(): return ASKED\n"}
    double = "from types import SimpleNamespace\nsys.modules['machine'] = SimpleNamespace(device=1)"
    found = verdict(sandbox, files, before=("assert 'guard' not in globals()", double), setup="assert guard() == 1")
    assert State.HELD is found.state, found
    assert State.CANNOT_TELL is verdict(sandbox, files, before=("1 / 0",)).state


def test_a_walk_without_a_bound_is_seen(sandbox: Sandbox) -> None:
    """Though it remembers where it was: the identity of what is gone is no ring."""
    source = """
def guard(module):
    seen = set()
    for _ in FOREVER:
        if module is None or id(module) in seen:
            break
        seen.add(id(module))
        module = getattr(module, "base_layer", None)
    return 1
"""
    call = Call(name="one", call="[guard(Endless()), Endless.steps < 1000]", returns=[1, True])
    endless, bounded = (source.replace("FOREVER", each) for each in ("iter(int, 1)", "range(16)"))
    assert State.BROKEN is verdict(sandbox, {"zoo/guards.py": endless}, calls=(call,)).state
    assert State.HELD is verdict(sandbox, {"zoo/guards.py": bounded}, calls=(call,)).state


def test_one_of_several_is_found_under_another_name(sandbox: Sandbox) -> None:
    """By its own code alone, among those of a rule with several symbols."""
    files = {"zoo/guards.py": "def other(): return 2\ndef moved(): return 1\ndef used(): return moved() + other()\n"}
    digests = []
    for name in ("other", "moved"):
        symbol = find(tree(files), "zoo/guards.py", name)
        assert symbol is not None
        digests.append(digest_of(symbol.node))
    more = {"symbols": {"other": "other", "guard": "guard"}, "pinned": ("-".join(digests),)}
    assert State.MOVED is verdict(sandbox, files, **more).state
    assert State.BROKEN is verdict(sandbox, files, **{**more, "pinned": ("-".join(reversed(digests)),)}).state
    assert State.ABSENT is verdict(sandbox, files, **{**more, "pinned": (digests[1],)}).state


def test_edited_trees_are_not_taken_for_one_another() -> None:
    """Their files lie in folders by their digests."""
    whole = tree({"zoo/guards.py": "1"})
    digests = {whole.digest, *(whole.with_file("zoo/guards.py", text).digest for text in ("2", "3"))}
    assert 3 == len(digests | {whole.with_file("zoo/other.py", "2").digest}) - 1
