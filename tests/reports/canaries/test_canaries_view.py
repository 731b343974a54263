"""What all views of canaries share: tones, what holds in words, and what to do."""

from __future__ import annotations

import shlex

import pytest

from harness.records.canaries import CanaryReport, State, Verdict
from reports.canaries import view
from tests.reports.canaries.builders import GOOD, REPORTS, early, known, release, report, told, verdict


@pytest.mark.parametrize(
    ("said", "tone"),
    [
        (verdict("a"), "passed"),
        (verdict("a", State.MOVED), "passed"),
        (verdict("a", State.BROKEN), "failed"),
        (verdict("a", State.ABSENT), "failed"),
        (verdict("a", State.CANNOT_TELL), "inconclusive"),
        (known("a"), "known"),
        (early("a"), "skipped"),
        (verdict("a", counts=False), "passed"),
    ],
)
def test_a_tone_is_the_states_but_for_what_is_declared_or_early(said: Verdict, tone: str) -> None:
    """What holds is good, even where nobody expected it."""
    assert tone == view.tone_of(said)


@pytest.mark.parametrize(
    ("shown", "headline"),
    [
        (REPORTS["good"], "unsloth_zoo 2026.10.9: 5 of 6 guards hold, 1 known to be broken"),
        (REPORTS["states"], "unsloth_zoo 2026.10.9: 3 of 7 guards hold, 1 known to be broken"),
        (
            REPORTS["timeline"],
            "3 releases of unsloth_zoo, 2026.5.1 to 2026.5.3: 1 of 3 guards holds in the newest; 5 of 8 in all of them",
        ),
        (REPORTS["packages"], "3 packages: 6 of 8 guards hold, 1 known to be broken"),
        (REPORTS["empty"], "0 packages: no guard is expected"),
        (report(release(early("a"), early("b"))), "unsloth_zoo 2026.10.9: no guard is expected"),
        (report(release(verdict("a", counts=False))), "unsloth_zoo 2026.10.9: no guard is expected"),
        (
            report(release(verdict("a"), version="2"), release(early("a"), version="3")),
            "2 releases of unsloth_zoo, 2 to 3: no guard is expected in the newest; 1 of 1 in all of them",
        ),
        (report(release(known("a"))), "unsloth_zoo 2026.10.9: 0 of 1 guard hold, 1 known to be broken"),
    ],
    ids=["good", "states", "timeline", "packages", "empty", "early", "early and held", "early at last", "known"],
)
def test_the_headline_has_the_numbers(shown: CanaryReport, headline: str) -> None:
    """Of what is expected; in a timeline first of the newest release."""
    assert headline == view.headline(shown)


OLD = release(verdict("a", State.BROKEN), version="2026.1.1")


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (REPORTS["states"], "Do not build on what is broken"),
        (report(release(verdict("a", State.BROKEN, declared="expired"))), "past its date"),
        (report(release(verdict("a", State.CANNOT_TELL))), "kept guards from being executed"),
        (REPORTS["empty"], "nothing is known"),
        (report(release(verdict("a", declared="mended"))), "Take away the declarations"),
        (report(release(verdict("a", State.MOVED))), "where the guards are now"),
        (report(release(verdict("a", State.CHANGED))), "pin its digest"),
        (report(OLD, release(verdict("a"))), "older ones do not"),
        (report(GOOD), "Nothing to do."),
        (report(release(early("a"))), "nothing is known"),
        (report(GOOD, release(early("a"), package="peft")), "nothing is known"),
    ],
)
def test_the_next_step_is_of_the_newest_release(shown: CanaryReport, words: str) -> None:
    """The gravest first; what was broken once is history."""
    assert words in view.next_step(shown)


def test_a_guard_is_rewritten_where_its_digest_is_another() -> None:
    """Than in the last release that had one; a guard that comes, goes or is not read is not."""
    rows = [
        release(*([verdict("a", digest=digest)] if digest else [verdict("a", State.CANNOT_TELL)]), version=version)
        for version, digest in (("1", "x"), ("2", "x"), ("3", "y"), ("4", ""), ("5", "y"), ("6", "z"))
    ]
    [package] = view.packages(report(*rows))
    [(name, squares)] = view.squares(package)
    assert "a" == name
    assert [False, False, True, False, False, True] == [square.is_rewritten for square in squares]


def test_a_guard_is_executed_again_alone() -> None:
    """The release's command, with the guard's whole name."""
    words = shlex.split(view.rerun_of(GOOD, GOOD.verdicts[0]))
    assert ["-k", "layout_by_shape@unsloth_zoo"] == words[-2:]
    assert ["--version", "2026.10.9"] == words[4:6]


def test_a_place_is_where_it_was_found_or_should_be() -> None:
    """Never a line that nobody saw."""
    rule = told("a")
    assert ("unsloth_zoo/saving_utils.py", 0) == view.place_of(rule, verdict("a", State.ABSENT))
    assert ("unsloth_zoo/moved.py", 7) == view.place_of(rule, verdict("a", path="unsloth_zoo/moved.py", line=7))
