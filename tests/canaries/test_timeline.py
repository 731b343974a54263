"""What happened to a guard, and when."""

from __future__ import annotations

import pytest

from harness.canaries.timeline import changes, word
from harness.records.canaries import ReleaseReport, State, Verdict


def release(version: str, state: State, digest: str = "a", package: str = "guarded") -> ReleaseReport:
    """With one guard."""
    verdict = Verdict(rule="count", state=state, counts=True, why="", looked_at=(), digest=digest)
    return ReleaseReport(
        package=package, version=version, origin="", digest="", verdicts=(verdict,), exit_code=0, duration_s=0.0,
        rerun="",
    )  # fmt: skip


def test_each_change_is_told_with_the_first_release_that_has_it() -> None:
    """And nothing of those that are as before."""
    states = [State.ABSENT, State.ABSENT, State.HELD, State.HELD, State.BROKEN, State.BROKEN, State.MOVED, State.ABSENT]
    releases = [release(str(number), state) for number, state in enumerate(states)]
    told = [(change.release, change.what) for change in changes(releases)]
    assert [("2", "came"), ("4", "broke"), ("6", "mended"), ("7", "gone")] == told


def test_code_that_changed_is_told_while_it_holds() -> None:
    """By its digest; of broken code it says nothing."""
    held = [release("1", State.HELD, "a"), release("2", State.HELD, "b")]
    assert ["changed"] == [change.what for change in changes(held)]
    broken = [release("1", State.BROKEN, "a"), release("2", State.BROKEN, "b")]
    assert [] == list(changes(broken))


def test_two_packages_are_two_lines() -> None:
    """No release follows one of another package."""
    assert [] == list(changes([release("1", State.HELD), release("2", State.BROKEN, package="other")]))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (State.ABSENT, State.BROKEN, "came broken"),
        (State.BROKEN, State.HELD, "mended"),
        (State.HELD, State.MOVED, "moved"),
        (State.MOVED, State.HELD, "changed"),
        (State.HELD, State.CANNOT_TELL, "untold"),
        (State.CANNOT_TELL, State.BROKEN, "told"),
        (State.BROKEN, State.ABSENT, "gone"),
    ],
)
def test_words(before: State, after: State, said: str) -> None:
    """For each way to change."""
    assert said == word(before, after)
