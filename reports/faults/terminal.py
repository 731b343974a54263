"""The kill matrix for a terminal: a row a fault, a column a check, and what is wrong in words below.

Builds `Text`, never rich markup. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records.faults import CHECKS, FaultResult, KillMatrix
from reports.text import duration, one_line

MARKS = {"named": ("●", "green"), "caught": ("○", "yellow"), "missed": ("·", "bright_black"), "owed": ("✕", "red")}
LEGEND = "● caught, and the culprit named   ○ caught   ✕ missed, and it must not   · says nothing of it"


def summary(matrix: KillMatrix) -> RenderableType:
    """All of it; the numbers stand last."""
    parts: list[RenderableType] = [_table(matrix), Text(LEGEND, style="bright_black")]
    parts += [line for fault in matrix.faults for line in _trouble(fault)]
    for control in matrix.controls:
        parts += [Text(f"✕ false alarm in the clean {control.case}: {one_line(alarm, 200)}", style="red")
                  for alarm in control.alarms]  # fmt: skip
    good = matrix.exit_code == 0
    line = Text(f"{'✓' if good else '✕'} {matrix.num_caught} of {matrix.num_faults} faults caught and named",
                style=f"bold {'green' if good else 'red'}")  # fmt: skip
    line.append(
        f" · {matrix.num_false_alarms} false alarms in {matrix.num_controls} clean runs · seed {matrix.seed} · "
        f"{duration(matrix.duration_s)} · exit {matrix.exit_code}",
        style="default",
    )
    return Group(*parts, Text(), line)


def mark_of(fault: FaultResult, check: str) -> str:
    """What a check made of a fault, the worst over its cases; empty where it had nothing to say."""
    said = [(case, each) for case in fault.cases for each in case.checks if each.check == check]
    if not said:
        return ""
    if all(each.named for _, each in said):
        return "named"
    if all(each.caught for _, each in said):
        return "caught"
    return "missed"


def _table(matrix: KillMatrix) -> Table:
    table = Table(title="faults", title_justify="left")
    for column in ("fault", "in", *CHECKS, "dtypes"):
        table.add_column(column)
    for fault in matrix.faults:
        marks = []
        for check in CHECKS:
            kind = mark_of(fault, check)
            owed = kind == "missed" and any(
                each.check == check and each.is_owed and not each.caught for case in fault.cases for each in case.checks
            )
            text, style = MARKS["owed" if owed else kind] if kind else ("", "default")
            marks.append(Text(text, style=style))
        style = "default" if fault.is_caught and fault.culprit_named else "bold red"
        dtypes = " ".join(sorted({case.dtype for case in fault.cases}))
        table.add_row(Text(fault.name, style=style), fault.place, *marks, Text(dtypes, style="bright_black"))
    return table


def _trouble(fault: FaultResult) -> list[Text]:
    lines = []
    for case in fault.cases:
        if case.is_caught and case.is_named:
            continue
        lines.append(Text(f"✕ {fault.name} in {case.case}: hit {_hit(case.hit)}", style="red"))
        lines += [
            Text(f"    {each.check}: {each.verdict} {one_line(each.cause, 160)}; {one_line(each.message, 240)}")
            for each in case.checks
            if each.is_owed and not each.named
        ]
        absent = sorted(set(case.owed) - {each.check for each in case.checks})
        lines += [Text(f"    {check}: was not run") for check in absent]
        lines.append(Text(f"    {case.rerun}"))
    return lines


def _hit(hit: Sequence[str]) -> str:
    """Some tensors, and some of what else was hit."""
    words: dict[str, list[str]] = {}
    for each in hit:
        word, _, name = each.rpartition(" ")
        words.setdefault(word, []).append(name)
    return "; ".join(f"{word} {one_line(', '.join(names), 160)}".strip() for word, names in words.items()) or "nothing"
