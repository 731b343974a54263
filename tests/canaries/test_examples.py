"""Examples are made of a release by edits, and an edit that changes nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest

from harness.canaries.examples import make
from harness.errors import CaseError
from harness.records.canaries import Edit, Example
from tests.canaries.making import GUARD, PACKAGE, WHERE, rule, tree


def edited(*edits: Edit, source: str = GUARD) -> str:
    """The file after edits."""
    return make(rule(), PACKAGE, Example(name="edited", edits=edits), tree(source)).text(WHERE)


@pytest.mark.parametrize(
    ("edit", "gone", "there"),
    [
        (Edit(find="return fallback", put="return None"), "return fallback", "return None"),
        (Edit(find="for $_ in range(LIMIT): $$$BODY", put="while True:\n        $$$BODY"), "LIMIT)", "while True:"),
        (Edit(find="getattr($X, $$$MORE)", put="vars($X)[$$$MORE]"), "getattr(module", '(module)["base_layer", None]'),
        (Edit(find="LIMIT = $N", put="LIMIT = $N * 2"), "LIMIT = 16\n", "LIMIT = 16 * 2"),
    ],
)  # fmt: skip
def test_an_edit(edit: Edit, gone: str, there: str) -> None:
    """What a pattern's variables found is put where they stand."""
    text = edited(edit)
    compile(text, WHERE, "exec")
    assert gone not in text
    assert there in text


def test_an_edit_within_a_function() -> None:
    """Leaves the others."""
    source = "def a(): return 1\ndef b(): return 1\n"
    assert "def a(): return 1\ndef b(): return 2\n" == edited(Edit(find="1", put="2", within="b"), source=source)


@pytest.mark.parametrize(
    "edit",
    [Edit(find="return nothing", put="pass"), Edit(find="return fallback", put="return fallback"),
     Edit(find="return fallback", put="pass", within="missing")],
)  # fmt: skip
def test_an_edit_that_changes_nothing_is_refused(edit: Edit) -> None:
    """For an example of nothing shows nothing."""
    with pytest.raises(CaseError, match="count: edited"):
        edited(edit)


def test_an_edited_release_has_another_digest() -> None:
    """So nothing that was kept of one is taken for the other."""
    made = [make(rule(), PACKAGE, Example(name="e", edits=(Edit(find="16", put=put),)), tree()) for put in ("1", "2")]
    assert 3 == len({tree().digest, *(each.digest for each in made)})


def test_a_source_of_ours() -> None:
    """Stands alone."""
    made: Any = make(rule(), PACKAGE, rule().bad[0], None)
    assert {WHERE: rule().bad[0].source.encode()} == made.files
