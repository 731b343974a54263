"""What is read of a package's files, and what is said where one that is needed is not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.canaries import trees
from harness.canaries.checking import check
from harness.canaries.executors import unpacked
from harness.canaries.trees import Unparsable
from harness.records.canaries import State
from harness.sandbox.client import Sandbox
from tests.canaries.making import GUARD, WHERE, rule, tree

WHY = "has 17000000 bytes, and at most 16777216 are read"


@pytest.mark.parametrize(
    ("limit", "text", "words"),
    [
        ("MAX_FILE_BYTES", "a = 1  # and more, and more\n", "has 28 bytes; at most 20 are parsed"),
        ("MAX_WORDS", "a\n" * 9, "has more than 12 words and lines"),
        ("MAX_WORDS", "a," * 9, "has more than 12 words and lines"),
        ("MAX_WORDS", "-" * 19, "has more than 12 words and lines"),
    ],
)
def test_what_takes_too_much_to_parse(monkeypatch: pytest.MonkeyPatch, limit: str, text: str, words: str) -> None:
    """Is not parsed: a syntax tree takes a thousand times what its text does."""
    monkeypatch.setattr(trees, "MAX_FILE_BYTES", 20 if limit == "MAX_FILE_BYTES" else 1000)
    monkeypatch.setattr(trees, "MAX_WORDS", 12)
    assert tree("a = 1\nb = 2\n").parsed(WHERE).body
    with pytest.raises(Unparsable, match=words):
        tree(text).parsed(WHERE)


def test_a_megabyte_of_short_lines() -> None:
    """Took 890 MB."""
    with pytest.raises(Unparsable, match="words and lines"):
        tree("a\n" * 2**19).parsed(WHERE)


def test_a_guard_in_a_file_that_was_left_out(sandbox: Sandbox, tmp_path: Path) -> None:
    """Is not absent: nobody has looked; nor is one that needs such a file, or a package that is imported without it."""
    lacking = replace(tree({"guarded/a.py": ""}), left_out={WHERE: WHY})
    moved = replace(
        tree({WHERE: "from guarded.large import LIMIT\n" + GUARD.replace("LIMIT = 16", "")}),
        left_out={"guarded/large.py": WHY},
    )
    behaving = rule(behaviour=True, symbols={}, setup="from guarded.saving import count", row="r1")
    told = [
        check(rule(), lacking, sandbox, lambda _: tmp_path, "s"),
        check(rule(), moved, sandbox, lambda _: tmp_path, "s"),
        check(behaving, lacking, sandbox, lambda each: unpacked(each, tmp_path), "s"),
    ]
    assert [State.CANNOT_TELL] * 3 == [verdict.state for verdict in told]
    assert all(WHY in verdict.why for verdict in told)
    assert not list(tmp_path.iterdir())
    without_need = replace(tree(), left_out={"guarded/large.py": WHY})
    assert State.HELD is check(rule(), without_need, sandbox, lambda _: tmp_path, "s").state
