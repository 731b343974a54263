"""Canaries for a terminal: a line a guard, and below what is wrong with it; over releases a row a release.

Builds `Text`, never rich markup. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records.canaries import CanaryReport, Change, ReleaseReport, State, Verdict
from reports.canaries import view
from reports.text import counted, duration, one_line

STYLES = {
    "passed": "green", "inconclusive": "yellow", "failed": "red", "known": "magenta", "skipped": "bright_black",
}  # fmt: skip
LEGEND = "   ".join(f"{symbol} {state}" for state, symbol in view.SYMBOLS.items())
MAX_WRONG = 3


def summary(report: CanaryReport) -> RenderableType:
    """All of it; the numbers stand last."""
    parts: list[RenderableType] = []
    for package in view.packages(report):
        if len(package.releases) > 1:
            parts += _timeline(package)
        else:
            parts += _release(package.releases[0], report)
    parts += [_change(change) for change in view.events(report)]
    return Group(*parts, Text(LEGEND, style="bright_black"), Text(), _numbers(report))


def _release(release: ReleaseReport, report: CanaryReport) -> Iterator[RenderableType]:
    yield Text(one_line(f"{release.package} {release.version} · {release.origin}", 300), style="bold")
    told = view.rules_of(report)
    for verdict in release.verdicts:
        yield _line(verdict)
        if verdict.state in (State.BROKEN, State.ABSENT):
            rule = told[release.package, verdict.rule]
            yield Text(f"    {one_line(rule.why, 300)}", style="bright_black")
            yield Text(f"    {one_line(rule.thread, 300)}", style="bright_black")
        for wrong in verdict.wrong[:MAX_WRONG]:
            yield Text(f"    {one_line(wrong.call, 120)}")
            said = f"expected {one_line(wrong.expected, 300)}; got {one_line(wrong.got, 300)}"
            yield Text(f"      {said}" + (f"; {one_line(wrong.given, 300)}" if wrong.given else ""))
        if len(verdict.wrong) > MAX_WRONG:
            yield Text(f"    and {len(verdict.wrong) - MAX_WRONG} more calls in the report")
        if verdict.note:
            yield Text(f"    {one_line(verdict.note, 400)}", style="bright_black")
    if release.exit_code:
        yield Text(f"  again: {one_line(release.rerun, 2000)}", style="bright_black")


def _line(verdict: Verdict) -> Text:
    line = Text(f"  {view.SYMBOLS[verdict.state]} {verdict.rule}: {verdict.state}", style=STYLES[view.tone_of(verdict)])
    line.append(f" · {one_line(verdict.why, 300)}", style="default")
    return line


def _timeline(package: view.Package) -> Iterator[RenderableType]:
    """A column a guard, with a number for its name, which no column is wide enough for."""
    rows = list(view.squares(package))
    yield Text(f"{package.name}: a row a release, a column a guard", style="bold")
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("release")
    for number in range(1, len(rows) + 1):
        table.add_column(str(number))
    table.add_column("exit")
    for release in package.releases:
        marks = [_mark(verdict) for verdict in release.verdicts]
        table.add_row(Text(one_line(release.version, 40)), *marks, str(release.exit_code))
    yield table
    for number, (name, _) in enumerate(rows, start=1):
        yield Text(f"  {number:>2} {name}", style="bright_black")


def _mark(verdict: Verdict) -> Text:
    return Text(view.SYMBOLS[verdict.state], style=STYLES[view.tone_of(verdict)])


def _change(change: Change) -> Text:
    said = f"{change.release}: {change.package} {change.rule} {change.what} ({change.before} → {change.after})"
    return Text(one_line(said, 300))


def _numbers(report: CanaryReport) -> Text:
    verdicts = view.verdicts_of(report)
    symbol, tone = view.RELEASE_SYMBOLS.get(report.exit_code, ("✕", "failed"))
    line = Text(f"{symbol} ", style=f"bold {STYLES[tone]}")
    said = " · ".join(f"{number} {state}" for state, number in view.tally(verdicts).items())
    known = sum(verdict.declared == "known" for verdict in verdicts)
    line.append(f"{said or 'nothing'} of {counted(len(verdicts), 'guard')}", style="default")
    line.append(f" · {known} declared" if known else "", style="default")
    line.append(f" · {duration(report.duration_s)} · exit {report.exit_code}", style="default")
    return line
