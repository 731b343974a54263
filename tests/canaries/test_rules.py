"""Which canaries are refused, and that those of `cases/canaries` are not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.canaries.rules import CANARIES, check_rows, load_rules
from harness.errors import CaseError, UsageError
from harness.planning.matrix import load_matrix

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
KNOWN = """
known = [{ releases = "<2", calls = ["one"], reason = "a", thread = "b", expires = "2027-01-01" }]
"""
EQUALS = 'equals = { what = "given", of = ["A"], within = 1e-5 }'


def load(tmp_path: Path, text: str, name: str = "guarded.toml") -> None:
    """Of one file."""
    (tmp_path / name).write_text(f'package = "guarded"\n{text}', encoding="utf-8")
    load_rules(tmp_path, today=date(2026, 11, 1))


def answers(one: str, other: str) -> str:
    """The rule, of whose calls these must come."""
    return RULE.replace('returns = "$E"', one).replace("returns = 0", other)


def edited(edit: str) -> str:
    """The rule, with a bad example that is an edit."""
    return RULE.replace('source = "def count(x): return 0"', f"edits = [{{ {edit} }}]") + '\nof_release = "1"\n'


def test_ours_are_loaded() -> None:
    """And each package has some."""
    rules = load_rules()
    assert "unsloth_zoo" in rules
    assert all(rules.values())


@pytest.mark.parametrize(
    "text",
    [
        RULE,
        RULE + KNOWN,
        RULE.replace('returns = "$E"', EQUALS),
        answers('raises = "KeyError"', 'raises = "ValueError"'),
        answers("returns = { a = 1 }", "returns = { a = 2, b = 1 }"),
        answers('returns = ["_", 1]', 'returns = ["_", 2]'),
        RULE.replace('">=1"', '">1,<1.1"'),
        RULE.replace('">=1"', '"==1.*,!=1.2"'),
        edited('find = "a", put = "b"'),
    ],
)
def test_a_rule_is_a_table(tmp_path: Path, text: str) -> None:
    """As it stands here."""
    load(tmp_path, text)


def test_a_row_that_a_rule_names_is_in_the_matrix(tmp_path: Path) -> None:
    """And those that ours name are."""
    matrix = load_matrix(CANARIES.parent / "matrix.toml")
    check_rows(load_rules(), matrix)
    (tmp_path / "guarded.toml").write_text(f'package = "guarded"\n{RULE}\nrow = "r99"\n', encoding="utf-8")
    with pytest.raises(CaseError, match=r"guarded\.toml: count: .*no such row.*r1.*got r99"):
        check_rows(load_rules(tmp_path), matrix)


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
        (RULE + KNOWN.replace("2027-01-01", "soon"), "no date"),
        (RULE + KNOWN.replace('["one"]', "[]"), "declares no calls"),
        (RULE + KNOWN.replace('["one"]', '["one", "two"]'), "no such call; expected one of one, none; got two"),
        (RULE + "\nexpcted = 1\n", "count: unknown key 'expcted'"),
        ("rules = []", "holds no rules"),
        ("rules = 3", "rules are no tables"),
        ("rules = [3]", "rules are no tables"),
        ('templates = "x"\n' + RULE, "templates are no tables"),
        ("templates = { x = 3 }\n" + RULE, "templates are no tables"),
        (RULE + "\nlike = []\n", "no such template"),
        (RULE + "\ntimes = 0\n", "times is out of range; expected 1 to 100; got 0"),
        (RULE + "\ntimes = -1\n", "times is out of range"),
        (RULE + "\ntimes = 101\n", "times is out of range"),
        (RULE + "\ntime_s = 0.0\n", "time_s is out of range; expected above 0, and at most 600; got 0.0"),
        (RULE + "\ntime_s = 601\n", "time_s is out of range"),
        (RULE.replace('returns = "$E"', EQUALS.replace("1e-5", "1e9")), "within is out of range"),
        (RULE.replace('returns = "$E"', EQUALS.replace("1e-5", "0.0")), "within is out of range"),
        (RULE.replace('returns = "$E"', EQUALS.replace('"A"', '"A", "E"')), "cannot be computed"),
        (RULE.replace('"$E"', '"$Q"'), "nobody draws it; expected one of E, A; got $Q"),
        (RULE.replace('"$E"', '[1, { a = "$Q" }]'), "nobody draws it; expected one of E, A; got $Q"),
        (RULE.replace("count(E)", "count(E"), "one: is no Python"),
        (RULE + '\nsetup = "def f(:"\n', "setup: is no Python"),
        (RULE + '\nbefore = ["a = 1", "import"]\n', "before: is no Python"),
        (RULE.replace(', returns = "$E"', ""), "one: says nothing of what must come of it"),
        (RULE.replace("returns = 0", 'returns = "_"'), "who always gives it passes"),
        (answers("returns = { a = 1 }", "returns = { b = 1 }"), "who always gives it passes"),
        (answers('returns = [1, "_"]', 'returns = ["_", 2]'), "who always gives it passes"),
        (answers('raises = "KeyError | ValueError"', 'raises = "ValueError"'), "who always gives it passes"),
        (answers('raises = "KeyError |"', "returns = 1"), "names no class"),
        (RULE.replace('name = "none", call', 'name = "one", call'), "two calls of this name; got one"),
        (RULE.replace('">=1"', '">=2,<1"'), "no release is meant"),
        (RULE.replace('"guarded/saving.py"', '""'), "no path in a package"),
        (RULE.replace('count = "count"', 'count = "/etc/saving.py:count"'), "no path in a package"),
        (RULE.replace('count = "count"', 'count = "../saving.py:count"'), "no path in a package"),
        (edited('find = "a", put = "a"'), "changes nothing"),
        (edited('find = "", put = "a"'), "finds nothing"),
        (edited('find = "a", put = "b", where = "/etc/a.py"'), "no path in a package"),
        (RULE + KNOWN.replace('"<2"', '""'), "known says no releases"),
        (RULE + KNOWN.replace('reason = "a"', 'reason = ""'), "known says no reason"),
        (RULE + KNOWN.replace('thread = "b"', 'thread = ""'), "known says no thread"),
        (RULE + KNOWN.replace("2027-01-01", "9999-12-31"), "expires in more than two years"),
        ("rules = [", "cannot be read"),
    ],
)
def test_a_rule_that_could_catch_nothing_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """With its file, and what is wrong."""
    with pytest.raises(CaseError, match=r"guarded\.toml") as refused:
        load(tmp_path, text)
    assert words in str(refused.value)


def test_a_file_is_named_for_its_package(tmp_path: Path) -> None:
    """So that it is found."""
    with pytest.raises(CaseError, match="file name differ"):
        load(tmp_path, RULE, "other.toml")
    with pytest.raises(CaseError, match="no canaries"):
        load_rules(tmp_path / "empty")


@pytest.mark.parametrize("names", [("guarded_more",), ("guarded-more",), ("Guarded.More", "guarded_more")])
def test_a_package_has_all_the_names_that_a_registry_knows(tmp_path: Path, names: tuple[str, ...]) -> None:
    """It is looked at once, under the name of its rules; what nobody asked for is not read."""
    (tmp_path / "guarded_more.toml").write_text(f'package = "guarded_more"\n{RULE}', encoding="utf-8")
    (tmp_path / "other.toml").write_text("nonsense", encoding="utf-8")
    assert ["guarded_more"] == list(load_rules(tmp_path, packages=names))
    with pytest.raises(UsageError, match="no canary matches -k; expected a part of a name, such as count; got nobody"):
        load_rules(tmp_path, packages=names, expression="nobody")
    with pytest.raises(UsageError, match="nothing: no canaries watch it; expected one of guarded_more, other"):
        load_rules(tmp_path, packages=[*names, "nothing"])


def test_a_template_gives_what_a_rule_does_not_say(tmp_path: Path) -> None:
    """And the text of a setup is executed before the rule's own."""
    (tmp_path / "setups").mkdir()
    (tmp_path / "setups" / "first.py").write_text("A = 1\n", encoding="utf-8")
    template = '[templates.common]\nrow = "r1"\ntimes = 7\nuses = ["first"]\n'
    load(tmp_path, f'{template}\n{RULE}\nlike = "common"\ntimes = 2\nsetup = "B = 2"\n')
    [rule] = load_rules(tmp_path)["guarded"]
    assert ("r1", 2, "B = 2") == (rule.row, rule.times, rule.setup)
    assert "A = 1\n" in rule.before
