"""Canaries for a terminal: a line a guard, and below what is wrong with it; over releases a column a release.

Builds `Text`, never rich markup. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records.canaries import CanaryReport, ReleaseReport, State, Verdict
from reports.text import counted, duration, one_line

SYMBOLS = {
    State.HELD: "●", State.CHANGED: "◍", State.MOVED: "➜", State.BROKEN: "✕", State.ABSENT: "○", State.CANNOT_TELL: "?",
}  # fmt: skip
STYLES = {
    State.HELD: "green", State.CHANGED: "green", State.MOVED: "green", State.BROKEN: "red", State.ABSENT: "red",
    State.CANNOT_TELL: "yellow",
}  # fmt: skip
LEGEND = "   ".join(f"{symbol} {state}" for state, symbol in SYMBOLS.items())
MAX_WRONG = 3


def summary(report: CanaryReport) -> RenderableType:
    """All of it; the numbers stand last."""
    parts: list[RenderableType] = []
    packages = list(dict.fromkeys(release.package for release in report.releases))
    for package in packages:
        releases = [release for release in report.releases if release.package == package]
        parts += [_timeline(package, releases)] if len(releases) > 1 else list(_release(releases[0], report))
    parts += [Text(f"{change.release}: {change.package} {change.rule} {change.what} ({change.before} → {change.after})")
              for change in report.changes]  # fmt: skip
    return Group(*parts, Text(LEGEND, style="bright_black"), Text(), _numbers(report))


def _release(release: ReleaseReport, report: CanaryReport) -> Iterator[RenderableType]:
    yield Text(f"{release.package} {release.version} · {release.origin}", style="bold")
    told = {rule.name: rule for rule in report.rules}
    for verdict in release.verdicts:
        yield _line(verdict)
        if verdict.state in (State.BROKEN, State.ABSENT):
            yield Text(f"    {told[verdict.rule].why}", style="bright_black")
            yield Text(f"    {told[verdict.rule].thread}", style="bright_black")
        for wrong in verdict.wrong[:MAX_WRONG]:
            yield Text(f"    {one_line(wrong.call, 120)}")
            yield Text(
                f"      expected {wrong.expected}; got {wrong.got}" + (f"; {wrong.given}" if wrong.given else "")
            )
        if verdict.note:
            yield Text(f"    {verdict.note}", style="bright_black")
    if release.exit_code:
        yield Text(f"  again: {release.rerun}", style="bright_black")


def _line(verdict: Verdict) -> Text:
    style = STYLES[verdict.state] if verdict.counts else "bright_black"
    line = Text(f"  {SYMBOLS[verdict.state]} {verdict.rule}: {verdict.state}", style=style)
    line.append(f" · {one_line(verdict.why, 160)}", style="default")
    return line


def _timeline(package: str, releases: list[ReleaseReport]) -> Table:
    table = Table(title=f"{package}: a row a release", title_justify="left")
    table.add_column("release")
    for verdict in releases[0].verdicts:
        table.add_column(verdict.rule, overflow="fold", max_width=14)
    table.add_column("exit")
    for release in releases:
        marks = [
            Text(SYMBOLS[verdict.state], style=STYLES[verdict.state] if verdict.counts else "bright_black")
            for verdict in release.verdicts
        ]
        table.add_row(release.version, *marks, str(release.exit_code))
    return table


def _numbers(report: CanaryReport) -> Text:
    verdicts = [verdict for release in report.releases for verdict in release.verdicts]
    good = report.exit_code == 0
    line = Text(f"{'✓' if good else '✕'} ", style=f"bold {'green' if good else 'red'}")
    states = [state for state in State if any(verdict.state is state for verdict in verdicts)]
    said = " · ".join(f"{sum(verdict.state is state for verdict in verdicts)} {state}" for state in states)
    known = sum(verdict.note.startswith("known: ") for verdict in verdicts)
    line.append(f"{said} of {counted(len(verdicts), 'guard')}", style="default")
    line.append(f" · {known} declared" if known else "", style="default")
    line.append(f" · {duration(report.duration_s)} · exit {report.exit_code}", style="default")
    return line
