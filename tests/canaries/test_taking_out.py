"""What is taken out of large packages: modules that are left, modules that are imported whole, hints that count."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.canaries import inside
from harness.canaries.archives import read_archive
from harness.canaries.checking import check
from harness.canaries.examples import make
from harness.canaries.extracting import extract
from harness.canaries.symbols import find, placed
from harness.errors import CaseError
from harness.records.canaries import Call, Edit, Example, State
from harness.sandbox.client import Sandbox
from tests.canaries.making import GUARD, PACKAGE, WHERE, rule, tree, wheel

ENDLESS = {
    WHERE: "from guarded.much import helper, logging\ndef guard(): return helper\n",
    "guarded/__init__.py": "",
    "guarded/much.py": "from guarded.more import helper\n",
    "guarded/more.py": "def helper(): pass\n",
}


def taken(files: dict[str, str], *leaves: str) -> set[str]:
    """The modules of a program, and its stand-ins with a question mark."""
    package = tree(files)
    symbol = find(package, WHERE, "guard")
    assert symbol is not None
    program = extract(package, {"guard": symbol}, (), leaves)
    return {*program.modules, *(f"{name}?" for name in program.stand_ins)}


def test_a_module_that_is_left_stops_the_taking() -> None:
    """With all that it would have needed; without leaves it comes along."""
    assert {"guarded.saving", "guarded.much", "guarded.more"} == taken(ENDLESS)
    assert {"guarded.saving", "guarded.much?"} == taken(ENDLESS, "guarded.much")
    assert {"guarded.saving", "guarded.much?"} == taken(ENDLESS, "guarded.much", "guarded")
    assert {"guarded.saving", "guarded.much", "guarded.more"} == taken(ENDLESS, "guarded.mu")


@pytest.mark.parametrize("line", ["from guarded import much as m", "import guarded.much as m"])
def test_of_a_module_that_is_imported_whole_comes_what_is_used(line: str) -> None:
    """And nothing else of it."""
    files = {WHERE: f"{line}\ndef guard(): return m.helper()\n", "guarded/__init__.py": "",
             "guarded/much.py": "def helper(): return 1\ndef unused(): return 2\n"}  # fmt: skip
    package = tree(files)
    symbol = find(package, WHERE, "guard")
    assert symbol is not None
    text = extract(package, {"guard": symbol}, ()).modules["guarded.much"]
    assert "helper" in text
    assert "unused" not in text


def test_hints_that_dataclasses_look_at_come_along(sandbox: Sandbox) -> None:
    """Without the name ClassVar, what is of the class would be a field with a default that cannot be shared."""
    source = """
from dataclasses import dataclass
from typing import ClassVar, Mapping
@dataclass
class count:
    known: ClassVar[dict] = {}
    stats: Mapping
    fallback: int
"""
    calls = (
        Call(name="a", call="count({}, E).fallback", returns="$E"),
        Call(name="b", call="len(count.known)", returns=0),
    )
    verdict = check(rule(calls=calls), tree(source), sandbox, lambda each: Path("/"), "1")
    assert verdict.state is State.HELD, verdict


def test_a_symbol_of_another_file(sandbox: Sandbox) -> None:
    """Is looked for there."""
    assert placed(WHERE, "guarded/other.py:limit") == ("guarded/other.py", "limit")
    assert placed(WHERE, "Class.method") == (WHERE, "Class.method")
    calls = (
        Call(name="a", call="count(Thing(module=None), other)", returns="$other"),
        Call(name="b", call="limit()", returns=3),
    )
    changed = rule(symbols={"count": "count", "limit": "guarded/other.py:limit"}, calls=calls)
    files = {WHERE: GUARD, "guarded/other.py": "def limit(): return 3\n"}
    folders = Path("/")
    assert check(changed, tree(files), sandbox, lambda each: folders, "1").state is State.HELD
    assert check(changed, tree({WHERE: GUARD}), sandbox, lambda each: folders, "1").state is State.ABSENT


def test_who_says_something_needs_no_answer(sandbox: Sandbox) -> None:
    """A logger that is not there does not make a wrong answer a doubt; another stand-in does."""
    says = "import loguru\ndef count(stats, fallback):\n    loguru.get_logger('a').info('b')\n    return 0\n"
    asks = "import loguru\ndef count(stats, fallback):\n    return loguru.count(stats)\n"
    folders = Path("/")
    assert check(rule(), tree(says), sandbox, lambda each: folders, "1").state is State.BROKEN
    assert check(rule(), tree(asks), sandbox, lambda each: folders, "1").state is State.CANNOT_TELL


def test_a_package_that_was_imported_before_is_not_taken_for_the_release(tmp_path: Path) -> None:
    """What a process imported first would answer in its place."""
    (tmp_path / "json").mkdir()
    told = inside.answer({"folders": [str(tmp_path)], "groups": []})
    assert "json was imported before" in told["failed"]["message"]


def test_an_edit_of_another_file() -> None:
    """Leaves the rule's own; and a file that is not there is named."""
    release = tree({WHERE: GUARD, "guarded/other.py": "LIMIT = 3\n"})
    edit = Edit(find="LIMIT = 3", put="LIMIT = 4", where="guarded/other.py")
    made = make(rule(), PACKAGE, Example(name="a", edits=(edit,)), release)
    assert made.text("guarded/other.py") == "LIMIT = 4\n"
    assert made.text(WHERE) == GUARD
    with pytest.raises(CaseError, match=r"guarded/none\.py"):
        make(rule(), PACKAGE, Example(name="a", edits=(Edit(find="a", put="b", where="guarded/none.py"),)), release)


def test_templates_are_kept(tmp_path: Path) -> None:
    """A package may read them when it is imported."""
    read = read_archive(wheel(tmp_path / "a.whl", {"a/b.jinja": b"{{ c }}", "a/b.so": b"\0", "a/b.py": b""}))
    assert ["a/b.jinja", "a/b.py"] == list(read.files)
