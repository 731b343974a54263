"""Canaries as Markdown, for the summary page of a CI: the numbers, what does not hold today, what changed, then all.

Every text is escaped as in the summary of a run. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.records.canaries import HOLDS, CanaryReport, Change, ReleaseReport, State, Told, Verdict
from reports.canaries import view
from reports.markdown import Block, code, escape, escape_link, fence, fitted, table
from reports.text import counted, duration, one_line, safe_link
from reports.view import EXIT_CODES

MAX_WRONG = 5


def render(report: CanaryReport, *, limit_bytes: int = 1024 * 1024) -> str:
    """The summary, at most `limit_bytes` long in UTF-8. What does not fit is left out by whole blocks, and named."""
    return fitted(_numbers(report), _blocks(report), limit_bytes)


def _numbers(report: CanaryReport) -> str:
    symbol = {0: "✅", 3: "❔"}.get(report.exit_code, "❌")
    tally = view.tally(view.verdicts_of(report))
    states = ", ".join(f"{number} {state}" for state, number in tally.items()) or "no guards"
    meaning = EXIT_CODES.get(report.exit_code, "not one of deltaproof's")
    chosen = f" · only what matches {code(report.expression, 120)}" if report.expression else ""
    return (
        f"## {symbol} {escape(view.headline(report))}\n\n"
        f"{states} · exit {report.exit_code} ({meaning}) · {duration(report.duration_s)} · "
        f"seed {code(report.seed, 60)} · {code(report.command, 120)}{chosen}\n\n"
        f"**Next:** {escape(view.next_step(report), 400)}"
    )


def _blocks(report: CanaryReport) -> Iterator[Block]:
    rules = view.rules_of(report)
    newest = [package.releases[-1] for package in view.packages(report)]
    for release, verdict in view.troubles(report):
        if release not in newest:
            continue  # what was before is in the tables
        label = f"the guard {code(verdict.rule, 80)} in {escape(release.version, 40)}"
        yield Block(label, _trouble(rules[release.package, verdict.rule], release, verdict))
    if events := view.events(report):
        yield Block("the changes", _changes(events))
    for package in view.packages(report):
        if len(package.releases) > 1:
            yield Block(f"the timeline of {escape(package.name, 40)}", _timeline(package))
    for package in view.packages(report):
        for release in reversed(package.releases):
            yield Block(f"the guards of {escape(f'{release.package} {release.version}', 80)}", _release(release))


def _trouble(rule: Told, release: ReleaseReport, verdict: Verdict) -> str:
    symbol = "❔" if verdict.state is State.CANNOT_TELL else "❌"
    where = escape(f"{release.package} {release.version}", 100)
    link = safe_link(rule.thread)
    lines = [
        f"### {symbol} {code(verdict.rule, 100)} is {verdict.state} in {where}",
        "",
        f"{escape(rule.why, 600)} ({escape_link(link) if link else escape(rule.thread, 300)})",
        "",
        f"- {escape(verdict.why, 400)}",
    ]
    if verdict.looked_at:
        lines.append(f"- looked at: {escape('; '.join(verdict.looked_at), 600)}")
    for wrong in verdict.wrong[:MAX_WRONG]:
        given = f" ({escape(wrong.given, 300)})" if wrong.given else ""
        said = f"expected {code(wrong.expected, 200)}, got {code(wrong.got, 200)}"
        lines.append(f"- {code(wrong.call, 200)}{given}: {said}")
    if len(verdict.wrong) > MAX_WRONG:
        lines.append(f"- and {len(verdict.wrong) - MAX_WRONG} more calls")
    if verdict.note:
        lines.append(f"- {escape(verdict.note, 600)}")
    return "\n".join([*lines, "", fence(one_line(view.rerun_of(release, verdict), 500), "sh")])


def _changes(changes: tuple[Change, ...]) -> str:
    rows = [
        [escape(f"{each.package} {each.release}", 80), code(each.rule, 100), escape(each.what, 40),
         f"{each.before} → {each.after}"]
        for each in changes
    ]  # fmt: skip
    return "### What changed\n\n" + table(["release", "guard", "what", "state"], rows)


def _timeline(package: view.Package) -> str:
    """A line a guard, a character a release: many releases have no room as columns of a table."""
    rows = list(view.squares(package))
    width = max((len(name) for name, _ in rows), default=0)
    lines = [
        f"{one_line(name, 80):<{min(width, 80)}} {''.join(view.SYMBOLS[square.verdict.state] for square in row)}"
        for name, row in rows
    ]
    first, last = package.releases[0].version, package.releases[-1].version
    legend = " · ".join(f"{symbol} {state}" for state, symbol in view.SYMBOLS.items())
    title = f"### {escape(package.name, 60)}, {escape(first, 40)} to {escape(last, 40)}"
    return f"{title}\n\nA character a release, oldest first.\n\n{fence(chr(10).join(lines))}\n\n{legend}"


def _release(release: ReleaseReport) -> str:
    rows = [
        [code(verdict.rule, 100), f"{view.SYMBOLS[verdict.state]} {verdict.state}{_not_counted(verdict)}",
         escape(verdict.why, 200)]
        for verdict in release.verdicts
    ]  # fmt: skip
    held = sum(verdict.state in HOLDS for verdict in release.verdicts)
    name = escape(f"{release.package} {release.version}", 100)
    summary = f"{view.symbol_of_release(release)} {name}: {held} of {counted(len(rows), 'guard')} held"
    origin = escape(release.origin, 300)
    return (
        f"<details><summary>{summary}</summary>\n\n{origin}\n\n{table(['guard', 'state', 'why'], rows)}\n\n</details>"
    )


def _not_counted(verdict: Verdict) -> str:
    return {"known": ", known", "skipped": ", not expected"}.get(view.tone_of(verdict), "")
