"""A verification for a terminal, as one rich `Text`: verdict, counts, grouped findings, what to do, what it took.

Builds `Text`, never rich markup, so that brackets in a file's names stay brackets. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text

from harness.errors import ExitCode
from harness.verify.records import Severity
from harness.verify.report import VerifyReport
from reports.text import counted, one_line, printable
from reports.verification import words
from reports.verification.advice import advice, next_step
from reports.verification.grouping import Group, grouped

STYLES: Mapping[int, str] = {ExitCode.OK: "green", ExitCode.FAILED: "red", ExitCode.INCONCLUSIVE: "yellow"}
MARKS: Mapping[Severity, tuple[str, str]] = {
    "error": ("✕", "red"),
    "warning": ("!", "yellow"),
    "note": ("·", "bright_black"),
}
"""Symbol and style of a finding."""
MAX_GROUPS = 12
MAX_NOTES = 3
"""More groups of notes than these are counted and not shown."""
MAX_NAMES = 3
MAX_ADVICE = 4


def summary(report: VerifyReport, *, command: str) -> Text:
    """All of it, the verdict first; `command` reruns it."""
    groups = grouped(report.findings)
    text = Text()
    text.append(report.verdict.value, style=f"bold {STYLES.get(report.exit_code, 'red')}")
    text.append(f"  {one_line(words.headline(report), 1000)}", style="bold")
    for count in words.counts(report):
        text.append(f"\n  {count.name:<13}{count.words}", style="default" if count.is_good else "yellow")
    _add_groups(text, groups)
    _add_advice(text, report, groups)
    text.append(f"\n\n{words.effort(report)}", style="bright_black")
    text.append(f"\n{printable(command)}", style="cyan")
    return text


def _add_groups(text: Text, groups: Sequence[Group]) -> None:
    notes = [group for group in groups if group.severity == "note"]
    few = groups if len(notes) <= MAX_NOTES else [group for group in groups if group.severity != "note"]
    for group in few[:MAX_GROUPS]:
        _add_group(text, group)
    if len(few) > MAX_GROUPS:
        text.append(f"\nand {counted(len(few) - MAX_GROUPS, 'more group')}: --json has all", style="bright_black")
    if len(few) < len(groups):
        said = counted(sum(group.size for group in notes), "note")
        text.append(f"\n{said}, which --json has", style="bright_black")


def _add_group(text: Text, group: Group) -> None:
    symbol, style = MARKS[group.severity]
    number = f" ×{group.size}" if group.size > 1 else ""
    text.append(f"\n{symbol} {one_line(group.kind, 60)}{number}", style=f"bold {style}")
    if group.names:
        shown = [one_line(pattern.text, 240) for pattern in group.names[:MAX_NAMES]]
        left_out = sum(pattern.num_names for pattern in group.names[MAX_NAMES:])
        text.append(f"  {', '.join(shown)}" + (f" and {left_out} more" if left_out else ""))
    for line in (group.message, expectation(group)):
        if line:
            text.append(f"\n    {one_line(line, 400)}")


def expectation(group: Group) -> str:
    """What was expected and what is there, as far as it is said."""
    pairs = (("expected", group.expected), ("got", group.got))
    return ", ".join(f"{name} {value}" for name, value in pairs if value)


def _add_advice(text: Text, report: VerifyReport, groups: Sequence[Group]) -> None:
    text.append("\n\nwhat to do: ", style="bold")
    text.append(next_step(report))
    kinds = list(_kinds_to_mend(groups))
    for kind in kinds[:MAX_ADVICE]:
        text.append(f"\n  {kind}: ", style="bold")
        text.append(advice(kind))
    if len(kinds) > MAX_ADVICE:
        text.append(f"\n  and for {', '.join(kinds[MAX_ADVICE:])}: --html says it", style="bright_black")


def _kinds_to_mend(groups: Iterable[Group]) -> dict[str, None]:
    """Kinds that something can be done about, errors first; notes say only what is so."""
    return {group.kind: None for group in groups if group.severity != "note" and advice(group.kind)}
