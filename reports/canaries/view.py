"""What the views of canaries share: symbols, tones, what holds in words, releases by package, changes. Pure.

Takes a `CanaryReport` and gives small frozen records; not cleaned, and knows no output format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from harness.errors import ExitCode
from harness.records.canaries import HOLDS, CanaryReport, Change, ReleaseReport, State, Told, Verdict
from reports.text import counted

Tone = Literal["passed", "inconclusive", "failed", "known", "skipped"]

SYMBOLS: Mapping[State, str] = {
    State.HELD: "●", State.CHANGED: "◍", State.MOVED: "➜", State.BROKEN: "✕", State.ABSENT: "○", State.CANNOT_TELL: "?",
}  # fmt: skip
MEANINGS: Mapping[State, str] = {
    State.HELD: "does what it must",
    State.CHANGED: "does what it must, with other code than when it was read",
    State.MOVED: "does what it must, somewhere else",
    State.BROKEN: "is there, and does not do what it must",
    State.ABSENT: "is nowhere in the package",
    State.CANNOT_TELL: "was not executed, or not to the end",
}
TONE_MEANINGS: Mapping[Tone, str] = {
    "known": "declared as broken, and not counted",
    "skipped": "not expected in that release",
}
"""Of what is no matter of the state alone."""
RELEASE_SYMBOLS: Mapping[int, tuple[str, Tone]] = {
    ExitCode.OK: ("✓", "passed"), ExitCode.INCONCLUSIVE: ("?", "inconclusive"),
}  # fmt: skip
_TONES: Mapping[State, Tone] = {
    **dict.fromkeys(HOLDS, "passed"), State.BROKEN: "failed", State.ABSENT: "failed",
    State.CANNOT_TELL: "inconclusive",
}  # fmt: skip


class Package(NamedTuple):
    """A package, with its guards and what was looked at."""

    name: str
    rules: tuple[Told, ...]
    releases: tuple[ReleaseReport, ...]
    """Oldest first."""

    @property
    def is_single(self) -> bool:
        """Whether one release was looked at, and not how they changed."""
        return len(self.releases) == 1


class Square(NamedTuple):
    """A guard in a release, in a timeline."""

    release: ReleaseReport
    verdict: Verdict
    is_rewritten: bool
    """Whether its code is another than in the release before."""


def tone_of(verdict: Verdict) -> Tone:
    """How a verdict is shown: as its state, but for what is declared or not expected."""
    if verdict.declared == "known":
        return "known"
    return _TONES[verdict.state] if verdict.counts or verdict.state in HOLDS else "skipped"


def tone_of_release(release: ReleaseReport) -> Tone:
    """How a release is shown: as its exit code."""
    return RELEASE_SYMBOLS.get(release.exit_code, ("✕", "failed"))[1]


def symbol_of_release(release: ReleaseReport) -> str:
    """The symbol of its exit code."""
    return RELEASE_SYMBOLS.get(release.exit_code, ("✕", "failed"))[0]


def packages(report: CanaryReport) -> tuple[Package, ...]:
    """What was looked at, by package."""
    found: dict[str, list[ReleaseReport]] = {}
    for release in report.releases:
        found.setdefault(release.package, []).append(release)
    return tuple(
        Package(name, tuple(rule for rule in report.rules if rule.package == name), tuple(releases))
        for name, releases in found.items()
    )


def rules_of(report: CanaryReport) -> Mapping[tuple[str, str], Told]:
    """The rules by package and name."""
    return {(rule.package, rule.name): rule for rule in report.rules}


def squares(package: Package) -> Iterator[tuple[str, tuple[Square, ...]]]:
    """Each guard by name, with a square a release in which it was looked for."""
    for name in dict.fromkeys(verdict.rule for release in package.releases for verdict in release.verdicts):
        row, digest = [], ""
        for release in package.releases:
            for verdict in release.verdicts:
                if verdict.rule == name:
                    row.append(Square(release, verdict, bool(digest and verdict.digest) and digest != verdict.digest))
                    digest = verdict.digest or digest
        yield name, tuple(row)


def tally(verdicts: Iterable[Verdict]) -> Mapping[State, int]:
    """How many are in each state, of those that there are."""
    counts = Counter(verdict.state for verdict in verdicts)
    return {state: counts[state] for state in State if counts[state]}


def verdicts_of(report: CanaryReport) -> tuple[Verdict, ...]:
    """All of them."""
    return tuple(verdict for release in report.releases for verdict in release.verdicts)


def troubles(report: CanaryReport) -> tuple[tuple[ReleaseReport, Verdict], ...]:
    """What counts and does not hold, the newest release of each package first."""
    return tuple(
        (release, verdict)
        for package in packages(report)
        for release in reversed(package.releases)
        for verdict in release.verdicts
        if verdict.counts and verdict.state not in HOLDS
    )


def events(report: CanaryReport) -> tuple[Change, ...]:
    """The changes that are more than other code."""
    return tuple(change for change in report.changes if change.what != "changed")


def subject(report: CanaryReport) -> str:
    """What was looked at, in words."""
    found = packages(report)
    if len(report.releases) == 1:
        return f"{report.releases[0].package} {report.releases[0].version}"
    if len(found) == 1:
        first, last = found[0].releases[0].version, found[0].releases[-1].version
        return f"{len(report.releases)} releases of {found[0].name}, {first} to {last}"
    releases = "" if len(found) == len(report.releases) else f"{counted(len(report.releases), 'release')} of "
    return f"{releases}{counted(len(found), 'package')}"


def headline(report: CanaryReport) -> str:
    """The numbers in one sentence. What is not expected in a release and not there is not among them."""
    found, verdicts = packages(report), verdicts_of(report)
    num_held, num_expected, num_known = _share(verdicts)
    place = in_all = ""
    if len(found) == 1 and not found[0].is_single:
        place, in_all = " in the newest", f"; {num_held} of {num_expected} in all of them"
        verdicts = found[0].releases[-1].verdicts
        num_held, num_expected, num_known = _share(verdicts)
    if not any(verdict.is_expected for verdict in verdicts):
        return f"{subject(report)}: no guard is expected{place}{in_all}"
    holding = "holds" if num_held == 1 else "hold"
    said = f"{num_held} of {counted(num_expected, 'guard')} {holding}{place}"
    known = f", {num_known} known to be broken" if num_known else ""
    return f"{subject(report)}: {said}{known}{in_all}"


def next_step(report: CanaryReport) -> str:
    """What to do, by the newest release of each package: what was before is history."""
    newest = [verdict for package in packages(report) for verdict in package.releases[-1].verdicts]
    counting = [verdict for verdict in newest if verdict.counts]
    if any(verdict.declared == "expired" for verdict in counting):
        return "A declaration is past its date: read its thread again, and mend the declaration or wait no longer."
    if any(verdict.state in (State.BROKEN, State.ABSENT) for verdict in counting):
        return (
            "Do not build on what is broken: its calls say what was expected and what came. Tell upstream in the "
            "thread; what is known there can be declared in the rule, with a date."
        )
    if not newest or any(verdict.state is State.CANNOT_TELL for verdict in counting):
        return "Mend what kept guards from being executed, and run it again: nothing is known of them."
    if not all(any(verdict.is_expected for verdict in package.releases[-1].verdicts) for package in packages(report)):
        return "Look at a release that must have the guards: none of them is expected, and so nothing is known."
    if any(verdict.declared == "mended" for verdict in newest):
        return "Take away the declarations of what is mended."
    if any(verdict.state is State.MOVED for verdict in newest):
        return "Let the rules say where the guards are now."
    if any(verdict.state is State.CHANGED for verdict in newest):
        return "Read the code that changed, and pin its digest."
    if any(release.exit_code for release in report.releases):
        return "Nothing to do today: the newest release does what it must, and older ones do not."
    return "Nothing to do."


def _share(verdicts: Iterable[Verdict]) -> tuple[int, int, int]:
    """How many hold, of how many that should, of which so many are known to be broken."""
    expected = [verdict for verdict in verdicts if tone_of(verdict) != "skipped"]
    num_known = sum(verdict.declared == "known" for verdict in expected)
    return sum(verdict.state in HOLDS for verdict in expected), len(expected), num_known


def place_of(rule: Told, verdict: Verdict) -> tuple[str, int]:
    """The file in the package, and the line in it, 0 where that is not known."""
    return (verdict.path, verdict.line) if verdict.path else (rule.where, 0)


def rerun_of(release: ReleaseReport, verdict: Verdict) -> str:
    """The command that executes this guard alone again, on what it was given."""
    return f"{release.rerun} -k {verdict.rule}@{release.package}"
