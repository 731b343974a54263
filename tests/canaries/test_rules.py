"""Which canaries are refused, and that those of `cases/canaries` are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.canaries.rules import load_rules
from harness.errors import CaseError

RULE = """
[[rules]]
name = "count"
why = "each expert gets another's slice"
thread = "https://example.org/1"
expected = ">=1"
where = "guarded/saving.py"
symbols = { count = "count" }
given = { E = [2, 9], A = { normal = ["E", "3"] } }
calls = [{ name = "one", call = "count(E)", returns = "$E" }, { name = "none", call = "count(None)", returns = 0 }]
bad = [{ name = "none", source = "def count(x): return 0" }]
"""


def load(tmp_path: Path, text: str, name: str = "guarded.toml") -> None:
    """Of one file."""
    (tmp_path / name).write_text(f'package = "guarded"\n{text}', encoding="utf-8")
    load_rules(tmp_path)


def test_ours_are_loaded() -> None:
    """And each package has some."""
    rules = load_rules()
    assert "unsloth_zoo" in rules
    assert all(rules.values())


def test_a_rule_is_a_table(tmp_path: Path) -> None:
    """As it stands here."""
    load(tmp_path, RULE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RULE.replace("bad = [", "good = ["), "bad"),
        (RULE.replace('bad = [{ name = "none", source = "def count(x): return 0" }]', "bad = []"), "no bad example"),
        (RULE.replace("calls = [", "more = ["), "more"),
        (RULE.split("calls = ")[0] + "calls = []\nbad = [{ name = 'a', source = 'b' }]\n", "executes nothing"),
        (RULE.replace("returns = 0", 'returns = "$E"'), "who always gives it passes"),
        (RULE.replace('returns = "$E"', 'returns = 1, raises = "KeyError"'), "in two ways"),
        (RULE.replace('returns = "$E"', 'equals = { what = "guess", of = ["A"] }'), "nothing is computed"),
        (RULE.replace('returns = "$E"', 'equals = { what = "delta", of = ["B"] }'), "is not given"),
        (RULE.replace('">=1"', '"from 1"'), "PEP 440"),
        (RULE.replace('thread = "https://example.org/1"', 'thread = ""'), "says no thread"),
        (RULE.replace('why = "each', 'why = ""\n#'), "says no why"),
        (RULE.replace('"guarded/saving.py"', '"../saving.py"'), "no path in a package"),
        (RULE.replace('symbols = { count = "count" }', ""), "names no symbol"),
        (RULE.replace('symbols = { count = "count" }', "behaviour = true"), "names no row that it can be imported in"),
        (RULE.replace("\nwhere", '\nneeds = ["torch"]\nwhere'), "names no row that has them; got torch"),
        (RULE.replace('source = "def count(x): return 0"', 'source = ""'), "a source or edits"),
        (RULE.replace('source = "def count(x): return 0"', 'edits = [{ find = "a", put = "b" }]'), "of_release"),
        (RULE + RULE, "two of this name"),
        (RULE + '\nuses = ["missing"]\n', "no such setup"),
        (RULE + '\nlike = "missing"\n', "no such template"),
        (RULE.replace("[2, 9]", '"r * 2"'), "no expression"),
        (
            RULE + '\nknown = [{ releases = "<2", calls = ["a"], reason = "a", thread = "b", expires = "soon" }]\n',
            "no date",
        ),
        (RULE + "\nexpcted = 1\n", "expcted"),
        ("rules = []", ""),
        ("rules = [", "cannot be read"),
    ],
)
def test_a_rule_that_could_catch_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """With its file, and what is wrong."""
    if not words:
        load(tmp_path, text)
        return
    with pytest.raises(CaseError, match=r"guarded\.toml") as refused:
        load(tmp_path, text)
    assert words in str(refused.value)


def test_a_file_is_named_for_its_package(tmp_path: Path) -> None:
    """So that it is found."""
    with pytest.raises(CaseError, match="file name differ"):
        load(tmp_path, RULE, "other.toml")
    with pytest.raises(CaseError, match="no canaries"):
        load_rules(tmp_path / "empty")


def test_a_template_gives_what_a_rule_does_not_say(tmp_path: Path) -> None:
    """And the text of a setup is executed before the rule's own."""
    (tmp_path / "setups").mkdir()
    (tmp_path / "setups" / "first.py").write_text("A = 1\n", encoding="utf-8")
    template = '[templates.common]\nrow = "r1"\ntimes = 7\nuses = ["first"]\n'
    load(tmp_path, f'{template}\n{RULE}\nlike = "common"\ntimes = 2\nsetup = "B = 2"\n')
    [rule] = load_rules(tmp_path)["guarded"]
    assert ("r1", 2, "B = 2") == (rule.row, rule.times, rule.setup)
    assert "A = 1\n" in rule.before
