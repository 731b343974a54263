"""From guards over releases to what happened to them, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.records.canaries import HOLDS, Change, ReleaseReport, State


def changes(releases: Sequence[ReleaseReport]) -> Iterator[Change]:
    """Of releases that follow each other, oldest first, each guard's changes of state."""
    for before, after in pairwise(releases):
        if before.package != after.package:
            continue
        was = {verdict.rule: verdict for verdict in before.verdicts}
        for verdict in after.verdicts:
            if verdict.rule not in was:
                continue
            old = was[verdict.rule]
            if old.state is not verdict.state or (old.digest != verdict.digest and verdict.state in HOLDS):
                yield Change(
                    package=after.package, rule=verdict.rule, release=after.version, before=old.state,
                    after=verdict.state, what=word(old.state, verdict.state),
                )  # fmt: skip


def word(before: State, after: State) -> str:
    """What a change is called."""
    if State.CANNOT_TELL in (before, after):
        return "told" if before is State.CANNOT_TELL else "untold"
    if before is State.ABSENT:
        return "came" if after in HOLDS else "came broken"
    if after is State.ABSENT:
        return "gone"
    if after is State.BROKEN:
        return "broke"
    if before is State.BROKEN:
        return "mended"
    return "moved" if after is State.MOVED and before is not State.MOVED else "changed"
