"""A guard in a release: held, rewritten, moved, broken, hostile."""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.canaries.checking import check
from harness.canaries.symbols import digest_of
from harness.canaries.trees import Tree
from harness.records.canaries import Call, State, Verdict
from harness.sandbox.client import Sandbox
from tests.canaries.making import GUARD, WHERE, rule, tree

PINNED = (digest_of(ast.parse(GUARD).body[1]),)


def no_folder(_: Tree) -> Path:
    """For guards that are taken out."""
    raise AssertionError("nothing is unpacked for a guard that is taken out")


def checked(sandbox: Sandbox, files: Mapping[str, str] | str = GUARD, **changes: Any) -> Verdict:
    """What is said of it."""
    return check(rule(**{"pinned": PINNED, **changes}), tree(files), sandbox, no_folder, "a seed")


def test_a_guard_that_holds(sandbox: Sandbox) -> None:
    """With what was looked at."""
    verdict = checked(sandbox)
    assert State.HELD is verdict.state, verdict
    assert (f"count in {WHERE}, line 5", "6 calls, with 2 statements of the package") == verdict.looked_at
    assert (PINNED[0], ()) == (verdict.digest, verdict.wrong)


def test_a_guard_that_is_written_otherwise(sandbox: Sandbox) -> None:
    """Is to be reviewed, and holds; nobody needs to review where nobody has read anything."""
    other = GUARD.replace("for _ in range(LIMIT):", "for _ in range(LIMIT + 1):")
    verdict = checked(sandbox, other)
    assert State.CHANGED is verdict.state
    assert "review" in verdict.why
    assert State.HELD is checked(sandbox, other, pinned=()).state


CALLER = "def merge(stats): return count_experts(stats, 1)\n"


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({WHERE: "from .counting import count\n", "guarded/counting.py": GUARD}, "count in guarded/counting.py"),
        ({WHERE: "from .counting import *\n", "guarded/counting.py": GUARD}, "count in guarded/counting.py"),
        ({WHERE: "from guarded import counting as c\ndef merge(): return c.count\n", "guarded/counting.py": GUARD},
         "count in guarded/counting.py"),
        ({WHERE: "import guarded.deep.er\n", "guarded/deep/er/__init__.py": "from .counting import count\n",
          "guarded/deep/er/counting.py": GUARD}, "count in guarded/deep/er/counting.py"),
        ({"guarded/merging.py": "from .counting import count\n", "guarded/counting.py": GUARD},
         "count in guarded/counting.py"),
        ({WHERE: GUARD.replace("def count(", "def count_experts(") + CALLER}, f"count_experts in {WHERE}"),
        ({WHERE: "from .counting import of_model as count\n",
          "guarded/counting.py": GUARD.replace("def count(", "def of_model(")}, "of_model in guarded/counting.py"),
        ({WHERE: "try:\n    from .counts import of_model as count\nexcept ImportError:\n    raise\n",
          "guarded/counts/__init__.py": "from .deep import *\n",
          "guarded/counts/deep.py": GUARD.replace("def count(", "def of_model(")},
         "of_model in guarded/counts/deep.py"),
    ],
    ids=["imported back", "with all", "its module", "through what is imported", "the file is gone", "renamed",
         "imported under its name", "through a package"],
)  # fmt: skip
def test_a_guard_that_moved(sandbox: Sandbox, files: Mapping[str, str], place: str) -> None:
    """Is executed where it is."""
    verdict = checked(sandbox, files)
    assert State.MOVED is verdict.state, verdict
    assert place in verdict.why


@pytest.mark.parametrize(
    "files",
    [
        {WHERE: "", "guarded/deep/er/counting.py": GUARD},
        {WHERE: "from .counting import other\n", "guarded/counting.py": GUARD + "def other(): return 1\n"},
        {WHERE: "from .v2 import count_v2\n", "guarded/v2.py": "def count_v2(*_): return 1\n",
         "guarded/_old/saving_backup.py": GUARD},
        {"guarded/counting.py": GUARD, "guarded/other.py": "X = 1\n"},
    ],
    ids=["away", "its neighbour is used", "another is used", "the file is gone"],
)  # fmt: skip
def test_a_copy_that_nobody_uses_is_no_guard(sandbox: Sandbox, files: Mapping[str, str]) -> None:
    """The guard is gone; and it is said where the copy lies."""
    verdict = checked(sandbox, files)
    assert State.ABSENT is verdict.state, verdict
    assert "a copy lies in count in guarded/" in verdict.why


@pytest.mark.parametrize("path", ["tests/reference.py", "guarded/tests/reference.py", "other/counting.py"])
def test_a_copy_elsewhere_is_no_guard(sandbox: Sandbox, path: str) -> None:
    """In tests, or in another folder, even if it is imported from there."""
    module = path.removesuffix(".py").replace("/", ".")
    verdict = checked(sandbox, {WHERE: f"from {module} import other\n", path: f"{GUARD}\nother = count\n"})
    assert State.ABSENT is verdict.state, verdict
    verdict = checked(sandbox, {WHERE: GUARD.replace("def count(", "def old("), path: GUARD})
    assert State.ABSENT is verdict.state, verdict


def test_a_guard_that_moved_and_broke(sandbox: Sandbox) -> None:
    """Is broken, where it is."""
    broken = "def count(stats, fallback):\n    return fallback\n"
    verdict = checked(sandbox, {WHERE: "from .counting import count\n", "guarded/counting.py": broken})
    assert State.BROKEN is verdict.state
    assert f"count is gone from {WHERE}" in verdict.why
    assert "guarded/counting.py" in verdict.looked_at[0]


def test_a_guard_that_is_gone(sandbox: Sandbox) -> None:
    """Nowhere by its name, nor by its code."""
    verdict = checked(sandbox, {WHERE: "# count\n", "guarded/other.py": "def counts(): return 1\n"})
    assert State.ABSENT is verdict.state
    assert "nowhere in guarded" in verdict.why


BODY = "    return stats.module.num_experts if hasattr(stats.module, 'num_experts') else fallback\n"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("def count(stats, fallback):\n    return fallback\n", id="always the fallback"),
        pytest.param(GUARD.replace("return fallback", "return None"), id="no fallback"),
        pytest.param(GUARD.replace("for _ in range(LIMIT):", "while True:"), id="no bound"),
        pytest.param(GUARD.replace("range(LIMIT)", "range(1)"), id="one step"),
        pytest.param(GUARD.replace("LIMIT = 16", "LIMIT = 1"), id="another limit"),
        pytest.param(GUARD.replace("(stats, fallback)", "(stats)").replace("return fallback", "return 0"), id="less"),
        pytest.param(f"import sys\ndef count(stats, fallback):\n{BODY}    sys.exit(0)\n", id="one attribute"),
    ],
)
def test_a_guard_that_is_broken(sandbox: Sandbox, source: str) -> None:
    """With the calls that went wrong, if there was an answer."""
    verdict = checked(sandbox, source)
    assert State.BROKEN is verdict.state, verdict


HOSTILE = """
import builtins, os, sys, threading
def count(stats, fallback):
{body}
"""
EVERY_PIPE = (
    'for end in range(3, 64):\n    try: os.write(end, b\'{"results": [{"returns": 5}]}\')\n    except OSError: pass\n'
)


@pytest.mark.parametrize(
    ("source", "state"),
    [
        pytest.param("import os\nos._exit(0)\ndef count(stats, fallback): return 0\n", State.BROKEN, id="dropped exit"),
        pytest.param("import os\nX = os._exit(0)\ndef count(stats, fallback): return X\n", State.BROKEN, id="exits"),
        pytest.param("def count(stats, fallback):\n    print('held')\n    return 'held'\n", State.BROKEN, id="prints"),
        pytest.param("def count(stats, fallback):\n    while True: pass\n", State.BROKEN, id="loops"),
        pytest.param("import os\ndef count(stats, fallback):\n    while True:\n        try: os.fork()\n"
                     "        except OSError: pass\n", State.BROKEN, id="forks"),
        pytest.param("def count(stats, fallback):\n    return 'x' * 10**9 * 10**3\n", State.BROKEN, id="is huge"),
        pytest.param("import os\ndef count(stats, fallback):\n    "
                     + EVERY_PIPE.replace("\n", "\n    ") + "\n    os._exit(0)\n", State.BROKEN, id="forges"),
        pytest.param("class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
                     "def count(stats, fallback): return Any(5)\n", State.BROKEN, id="equals all"),
        pytest.param("def count(stats, fallback):\n    raise SystemExit(0)\n", State.BROKEN, id="exits politely"),
        pytest.param("raise SystemExit(0)\ndef count(stats, fallback): return 1\n", State.BROKEN, id="exits on import"),
        pytest.param("import torch\ndef count(stats, fallback): return torch.count(stats)\n", State.CANNOT_TELL,
                     id="needs what is not there"),
        pytest.param("import guarded.missing\ndef count(stats, fallback): return guarded.missing.count(stats)\n",
                     State.CANNOT_TELL, id="needs a file that is not there"),
        pytest.param("def count(:\n", State.CANNOT_TELL, id="is no Python"),
    ],
)  # fmt: skip
def test_a_hostile_guard_does_not_hold(sandbox: Sandbox, source: str, state: State) -> None:
    """Whatever it does; and the next one is looked at as ever."""
    assert state is checked(sandbox, source).state
    assert State.HELD is checked(sandbox).state


def test_what_is_drawn_differs_from_seed_to_seed(sandbox: Sandbox) -> None:
    """So a guard that knows the answers of one does not hold in another."""
    known = []

    class Spy:
        def run(self, request: Any, **more: Any) -> Any:
            known.append(request["groups"])
            return sandbox.run(request, **more)

    for seed in ("a", "b", "a"):
        check(rule(), tree(), Spy(), no_folder, seed)
    assert known[0] == known[2]
    assert known[0] != known[1]
    first = known[0][0]
    assert {"E", "other", "depth"} == set(first["given"])
    assert not {"returns", "equals", "expected"} & {key for group in known[0] for key in group}


def test_what_must_come_is_not_sent(sandbox: Sandbox) -> None:
    """The process that executes a guard knows no expectation."""
    sent = []

    class Spy:
        def run(self, request: Any, **more: Any) -> Any:
            sent.append(repr(request))
            return sandbox.run(request, **more)

    secret = Call(name="a", call="count(Thing(module=None), other)", returns="SECRET")
    assert State.BROKEN is check(rule(calls=(secret, *rule().calls)), tree(), Spy(), no_folder, "s").state
    assert "SECRET" not in sent[0]


def test_without_a_sandbox_nothing_is_said(tmp_path: Path) -> None:
    """And nothing is executed."""
    with Sandbox(tmp_path / "no-python", "harness.canaries.inside:answer") as broken:
        verdict = checked(broken)
    assert State.CANNOT_TELL is verdict.state
    assert "not executed" in verdict.why


def test_a_package_itself_is_imported_from_its_folder(sandbox: Sandbox, tmp_path: Path) -> None:
    """Where its behaviour is what is looked at; without its file it is absent."""
    (tmp_path / "guarded").mkdir()
    (tmp_path / "guarded" / "saving.py").write_text(GUARD, encoding="utf-8")
    setup = "from guarded.saving import count"
    behaving = rule(behaviour=True, symbols={}, setup=setup, row="r1")
    assert State.HELD is check(behaving, tree(), sandbox, lambda _: tmp_path, "s").state
    assert State.ABSENT is check(behaving, tree({"guarded/a.py": ""}), sandbox, lambda _: tmp_path, "s").state
    (tmp_path / "guarded" / "saving.py").write_text("def count(*_): return 1\n", encoding="utf-8")
    assert State.BROKEN is check(behaving, tree(), sandbox, lambda _: tmp_path, "s").state
    assert "guarded" not in sys.modules
