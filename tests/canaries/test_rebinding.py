"""Whatever puts something else in a guard's place is executed with it, or is a doubt; what is harmless is neither."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.canaries.checking import check
from harness.canaries.symbols import digest_of, find
from harness.records.canaries import State, Verdict
from harness.sandbox.client import Sandbox
from tests.canaries.making import GUARD, WHERE, rule, tree

BROKEN = GUARD + "\n\ndef broken(*_):\n    return 7\n\n\n"


def checked(sandbox: Sandbox, files: Mapping[str, str] | str) -> Verdict:
    """What is said of it."""
    return check(rule(), tree(files), sandbox, lambda _: Path("/"), "a seed")


@pytest.mark.parametrize(
    "line",
    [
        "count = broken",
        "(count := broken)",
        "X = [count := broken for _ in (1,)]",
        "match 1:\n    case _:\n        count = broken",
        "match broken:\n    case count:\n        pass",
        "for count in [broken]: pass",
        "import contextlib\nwith contextlib.nullcontext(broken) as count: pass",
        "try:\n    pass\nexcept* ValueError:\n    pass\nelse:\n    count = broken",
        "def patch():\n    global count\n    count = broken\npatch()",
        "def really():\n    global count\n    count = broken\ndef patch(): really()\npatch()",
        "class Patch:\n    global count\n    count = broken",
        "count.__code__ = (lambda stats, fallback: 7).__code__",
        "def patch(function):\n    function.__code__ = (lambda stats, fallback: 7).__code__\npatch(count)",
        "from guarded.fast import *",
    ],
)
def test_a_guard_that_is_bound_once_more(sandbox: Sandbox, line: str) -> None:
    """What holds in the end is what was bound last, in whatever way."""
    files = {WHERE: f"{BROKEN}{line}\n", "guarded/fast.py": "def count(*_): return 7\n"}
    assert State.BROKEN is checked(sandbox, files).state


def test_a_guard_that_is_deleted(sandbox: Sandbox) -> None:
    """Is absent, as is one in a branch that is not taken."""
    assert State.ABSENT is checked(sandbox, f"{GUARD}\ndel count\n").state
    verdict = checked(sandbox, "if False:\n    def count(stats, fallback): return fallback\n")
    assert State.ABSENT is verdict.state
    assert verdict.why == "count is not in guarded.saving when that is loaded"


@pytest.mark.parametrize(
    "line",
    [
        "globals().update(count=broken)",
        'globals().update({"count": broken})',
        'globals()["count"] = broken',
        "globals().update(dict(zip(NAMES, VALUES)))",
        'vars()["count"] = broken',
        'sys.modules[__name__].__dict__["count"] = broken',
        'setattr(sys.modules[__name__], "count", broken)',
        "setattr(sys.modules[__name__], NAME, broken)",
        "sys.modules[__name__].count = broken",
        'exec("count = broken")',
        "exec(TEXT)",
        'def patch():\n    globals()["count"] = broken',
        "def really():\n    global count\n    count = broken\ndef patch(): really()\nX = patch()",
        "raise ImportError",
        "import os\nos._exit(0)",
    ],
)
def test_what_may_bind_it_and_is_not_executed(sandbox: Sandbox, line: str) -> None:
    """Is a doubt that is told with its place; a guard that is broken already is broken all the same."""
    verdict = checked(sandbox, f"{BROKEN}{line}\n")
    assert State.CANNOT_TELL is verdict.state, verdict
    assert WHERE in verdict.why
    assert "line" in verdict.why
    assert State.BROKEN is checked(sandbox, f"{BROKEN}{line}\n".replace("return fallback", "return 7")).state


@pytest.mark.parametrize(
    "line",
    [
        '__all__ = ["count"]',
        'globals().update(other=broken)',
        'globals()["other"] = broken',
        "def patch():\n    globals().update(dict(zip(NAMES, VALUES)))",
        "def patch(self):\n    self.count = 3",
        "def other():\n    count = broken\n    return count",
        "X = [count for count in (1, 2)]",
        'print(getattr(X, "count", None))',
        "STATE.other = broken",
        "if TYPE_CHECKING:\n    from guarded.fast import *",
        "def patch():\n    raise ImportError",
    ],
)  # fmt: skip
def test_what_cannot_bind_it_is_no_doubt(sandbox: Sandbox, line: str) -> None:
    """It is not looked at further."""
    files = {WHERE: f"{BROKEN}{line}\n", "guarded/fast.py": "def count(*_): return 7\n"}
    assert State.HELD is checked(sandbox, files).state


HELPER = GUARD.replace("def count(", "def of_model(")
PUT = """
TABLE = {}
def put(name):
    def fill(f):
        TABLE.update({name: f})
        return f
    return fill
@put("m")
"""
CALLS = "def count(stats, fallback): return {}(stats, fallback)\n"


@pytest.mark.parametrize(
    ("line", "called"),
    [
        ("import guarded.layouts", "guarded.layouts.of_model"),
        ("import guarded.layouts as layouts", "layouts.of_model"),
        ("from . import layouts", "layouts.of_model"),
        ("from . import layouts", 'getattr(layouts, "of_model")'),
        ("from .layouts import *", "of_model"),
        ("try:\n    from .layouts import *\nexcept ImportError:\n    raise", "of_model"),
        ("import importlib\nlayouts = importlib.import_module('guarded.layouts')", "layouts.of_model"),
        ("import importlib", "importlib.import_module('.layouts', __package__).of_model"),
        ("from .sub import of_model", "of_model"),
        ("from .all import of_model", "of_model"),
        ("from .all import layouts as again", "again.of_model"),
        ("from .lazy import of_model", "of_model"),
    ],
)
def test_a_helper_comes_however_it_is_imported(sandbox: Sandbox, line: str, called: str) -> None:
    """By its module's whole name, with all, by another name, and by those that export it once more."""
    files = {
        WHERE: f"{line}\n{CALLS.format(called)}", "guarded/layouts.py": HELPER, "guarded/__init__.py": "",
        "guarded/sub.py": "from .layouts import of_model\n",
        "guarded/all.py": "from .layouts import *\nfrom . import layouts\n",
        "guarded/lazy/__init__.py": "import importlib\ndef __getattr__(name):\n"
        "    return getattr(importlib.import_module('..layouts', __name__), name)\n",
    }  # fmt: skip
    verdict = checked(sandbox, files)
    assert State.HELD is verdict.state, verdict


@pytest.mark.parametrize(
    ("before", "after", "called"),
    [
        ("TABLE = {}\ndef fill(f):\n    TABLE[f.__name__] = f\n    return f\n@fill\n", "", 'TABLE["of_model"]'),
        (PUT, "", 'TABLE["m"]'),
        ("TABLE = {}\n", "def fill(table):\n    table['m'] = of_model\nfill(TABLE)", 'TABLE["m"]'),
        ("", "def fill():\n    TABLE['m'] = of_model\nTABLE = {}\nfill()", 'TABLE["m"]'),
        ("", "TABLE = {}\n(TABLE.setdefault('m', of_model))", 'TABLE["m"]'),
        ("", "(other := of_model)", "other"),
        ("", "other, _ = of_model, 1", "other"),
        ("", "class Other:\n    def __call__(self, *given): return of_model(*given)\nother = Other()", "other"),
    ],
)  # fmt: skip
def test_a_helper_comes_from_where_it_is_registered(sandbox: Sandbox, before: str, after: str, called: str) -> None:
    """What fills a table that is needed is needed, and with it whom it fills it with."""
    helper = HELPER.replace("def of_model", f"{before}def of_model")
    verdict = checked(sandbox, f"{helper}\n{after}\n{CALLS.format(called)}")
    assert State.HELD is verdict.state, verdict


@pytest.mark.parametrize(
    "text",
    [
        "from . import saving as s\ns.count = lambda *_: 7\n",
        "from . import saving as s\ndef patch():\n    s.count = lambda *_: 7\n",
        "import guarded.saving\ndel guarded.saving.count\n",
        'from . import saving\nsetattr(saving, "count", None)\n',
        'from . import saving\npatch_function(saving, "count", None)\n',
        'from unittest import mock\nmock.patch.object(saving, "count", None)\n',
        'from . import saving\nfor saving.count in (None,): pass\n',
    ],
)  # fmt: skip
def test_a_guard_that_another_module_replaces(sandbox: Sandbox, text: str) -> None:
    """Nobody knows which of them is used; if it is broken itself, it is broken."""
    for path in ("guarded/__init__.py", "guarded/patches/saving.py"):
        verdict = checked(sandbox, {WHERE: GUARD, path: text})
        assert State.CANNOT_TELL is verdict.state
        assert f"count is replaced in {path}, line" in verdict.why
        assert State.BROKEN is checked(sandbox, {WHERE: GUARD.replace("return fallback", "return 7"), path: text}).state


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("guarded/a.py", "class A:\n    def __init__(self): self.count = 3\n"),
        ("guarded/a.py", 'X = saving.count\nhasattr(saving, "count")\nsay("a", "count")\n'),
        ("guarded/a.py", "saving.counts = 1\n"),
        ("guarded/a.py", "saving.count = (:\n"),
        ("tests/a.py", "saving.count = 1\n"),
        ("guarded/tests/a.py", "saving.count = 1\n"),
        ("other/a.py", "saving.count = 1\n"),
    ],
)
def test_what_replaces_no_guard(sandbox: Sandbox, path: str, text: str) -> None:
    """Attributes of objects, tests, other packages, and what is no Python."""
    assert State.HELD is checked(sandbox, {WHERE: GUARD, path: text}).state


def test_of_a_class_its_methods_are_replaced_too(sandbox: Sandbox) -> None:
    """By whoever names it: any if the class is the guard, its own if a method is."""
    source = GUARD.replace("def count(", "class count:\n    def __new__(cls, ").replace("\n    ", "\n        ")
    source = source.replace("class count:\n        def", "class count:\n    def")
    assert State.HELD is checked(sandbox, {WHERE: source, "guarded/a.py": "other.__new__ = None\n"}).state
    replaced = checked(sandbox, {WHERE: source, "guarded/a.py": "from .saving import count\ncount.__new__ = None\n"})
    assert State.CANNOT_TELL is replaced.state


DEEP = "f(" * 190 + ")" * 190


def test_code_that_is_nested_deeply(sandbox: Sandbox) -> None:
    """Has no digest, and is executed all the same; and it hinders no other guard of its file."""
    deep = GUARD.replace("    module = stats.module\n", f"    module = stats.module\n    if False: {DEEP}\n")
    symbol = find(tree(deep), WHERE, "count")
    assert symbol is not None
    assert not digest_of(symbol.node)
    assert State.HELD is checked(sandbox, deep).state
    beside = f"def beside():\n    {DEEP}\n"
    gone = check(rule(pinned=("0" * 16,)), tree(beside), sandbox, lambda _: Path("/"), "a seed")
    assert State.ABSENT is gone.state


@pytest.mark.parametrize(
    ("before", "asked"),
    [
        ("from transformers.utils import is_torch_available", "is_torch_available()"),
        ("from transformers.utils import is_torch_available\nHAS = bool(is_torch_available())", "HAS"),
        ("from transformers.utils import is_torch_available\nHAS = 1 if is_torch_available() else 0", "HAS"),
    ],
)
def test_what_is_decided_by_what_is_not_there(sandbox: Sandbox, before: str, asked: str) -> None:
    """In a call or while the guard is loaded: where the package is used it may be otherwise."""
    source = f"{before}\n{GUARD}".replace("    module = stats", f"    if {asked}: return 7\n    module = stats")
    verdict = checked(sandbox, source)
    assert State.CANNOT_TELL is verdict.state
    assert "transformers.utils.is_torch_available" in verdict.why
    assert "which is not there" in verdict.why
