"""Known outcomes: exact results, and mistakes that are told."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from harness.errors import CaseError
from harness.planning.expand import Plan
from harness.planning.known import load_known
from harness.records.cases import KnownOutcome
from harness.runs.request import Catalogue

TEXT = """
[[known]]
name = "first"
reason = "a test"
link = "https://example.org/1"
expires = "2027-01-31"
verdict = "FAIL"
cause = "delta_missing attention"
cases = ["a", "b"]
writers = ["r1", "r2"]
readers = ["r3"]
forms = ["lora"]
"""
DIAGONAL = TEXT.replace('readers = ["r3"]', "diagonal = true")
DIALECTS = TEXT.replace('forms = ["lora"]', 'forms = ["lora", "merged"]\ndialects = ["", "swapped"]')
WRITES = TEXT.replace('readers = ["r3"]\nforms = ["lora"]\n', "")


def load(folder: Path, text: str) -> dict[str, KnownOutcome]:
    """The declarations in a file with this text, where the cases a and b and the rows r1 to r3 exist."""
    path = folder / "known.toml"
    path.write_text(text, encoding="utf-8")
    return load_known(path, {"a", "b"}, {"r1", "r2", "r3"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", set(), id="none"),
        pytest.param(TEXT, {f"{c}@{w}>lora>r3" for c in "ab" for w in ("r1", "r2")}, id="the product"),
        pytest.param(DIAGONAL, {f"{c}@{w}>lora>{w}" for c in "ab" for w in ("r1", "r2")}, id="the diagonal"),
        pytest.param(
            DIALECTS,
            {f"{c}@{w}>{form}>r3" for c in "ab" for w in ("r1", "r2") for form in ("lora", "lora-swapped", "merged")},
            id="dialects, of the adapter alone",
        ),
        pytest.param(WRITES, {f"{c}@{w}" for c in "ab" for w in ("r1", "r2")}, id="writes"),
    ],
)
def test_a_declaration_is_about_exact_results(tmp_path: Path, text: str, expected: set[str]) -> None:
    """The product of its lists, or each writer with itself, or the writes alone; never more."""
    known = load(tmp_path, text)
    assert expected == set(known)
    assert {"first"} >= {each.name for each in known.values()}


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        pytest.param('["a", "b"]', '["a", "c"]', ["first", "unknown case", "one of a, b", "got c"], id="case"),
        pytest.param('["a", "b"]', '["*"]', ["unknown case", "got *"], id="a wildcard"),
        pytest.param('["r1", "r2"]', '["r9"]', ["unknown cell", "one of r1, r2, r3", "got r9"], id="writer"),
        pytest.param('["r3"]', '["r9"]', ["unknown cell", "got r9"], id="reader"),
        pytest.param("2027-01-31", "next year", ["first", "expires is no date", "YYYY-MM-DD"], id="date"),
        pytest.param("2027-01-31", "2027-02-30", ["expires is no date"], id="a day that is none"),
        pytest.param('"FAIL"', '"PASS"', ["unknown value", "FAIL, ERROR"], id="verdict"),
        pytest.param('["lora"]', '["loras"]', ["unknown value", "lora, merged"], id="form"),
        pytest.param('["a", "b"]', '["a", "a"]', ["a@r1>lora>r3", "also declared by first"], id="twice in one"),
        pytest.param('reason = "a test"\n', "", ["key 'reason' is missing"], id="no reason"),
        pytest.param('link = "https', 'lnk = "https', ["unknown key 'lnk'", "link"], id="unknown key"),
        pytest.param('readers = ["r3"]\n', "", ["first", "about no result"], id="forms without readers"),
        pytest.param('cases = ["a", "b"]', "cases = []", ["first", "about no result"], id="no cases"),
        pytest.param('forms = ["lora"]\n', "", ["first", "readers", "forms"], id="readers without forms"),
        pytest.param('forms = ["lora"]', 'forms = ["lora"]\ndiagonal = true', ["first", "diagonal"], id="both"),
        pytest.param('["lora"]', '["lora"]\ndialects = ["slang"]', ["unknown value", "per_expert"], id="dialect"),
        pytest.param('["lora"]', '["lora"]\ndialects = []', ["first", "no dialects"], id="no dialects"),
        pytest.param('["lora"]', '["merged"]\ndialects = ["swapped"]', ["dialects of no adapter"], id="no adapter"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, good: str, bad: str, words: list[str]) -> None:
    """Each mistake is a CaseError with the file and the declaration; without it the same file loads."""
    assert 4 == len(load(tmp_path, TEXT))
    with pytest.raises(CaseError) as raised:
        load(tmp_path, TEXT.replace(good, bad))
    for word in ("known.toml", *words):
        assert word in str(raised.value)


def test_one_result_has_one_declaration(tmp_path: Path) -> None:
    """Two that overlap are a mistake that names both; two that do not are fine."""
    with pytest.raises(CaseError, match=r"second: a@r1>lora>r3: also declared by first"):
        load(tmp_path, TEXT + TEXT.replace('"first"', '"second"'))
    assert 8 == len(load(tmp_path, TEXT + TEXT.replace('"first"', '"second"').replace('["lora"]', '["merged"]')))


def test_every_declared_result_is_planned(catalogue: Catalogue, plan: Plan) -> None:
    """A declaration of ours about a result that no run makes would never be seen to be fixed."""
    planned = {write.id for write in plan.writes} | {read.id for read in plan.reads}
    assert set() == set(catalogue.known) - planned


def test_our_declarations_say_why_and_until_when(catalogue: Catalogue) -> None:
    """A reason, a link, a date, an exact cause, and names that are not used twice."""
    declared = {id(known): known for known in catalogue.known.values()}.values()
    assert len({known.name for known in declared}) == len(declared)
    for known in declared:
        assert known.reason.strip()
        assert known.cause.strip()
        assert known.link.startswith("https://")
        assert date(2026, 11, 21) < date.fromisoformat(known.expires)
        assert "*" not in "".join((*known.cases, *known.writers, *known.readers))
