"""The kill matrix for a terminal: a row a fault, a column a check, and what is wrong in words below.

Builds `Text`, never rich markup. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.records.faults import CHECKS, FaultResult, KillMatrix
from reports.faults import view
from reports.text import counted, duration, one_line

STYLES: Mapping[view.MarkName, str] = {
    "named": "green",
    "caught": "yellow",
    "owed": "red",
    "besides": "green",
    "quiet": "bright_black",
    "": "default",
}
LEGEND = "   ".join(f"{mark.symbol} {mark.says}" for mark in view.MARKS.values() if mark.symbol)


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
        f" · {counted(matrix.num_false_alarms, 'false alarm')} in {counted(matrix.num_controls, 'clean run')} · "
        f"seed {matrix.seed} · {duration(matrix.duration_s)} · exit {matrix.exit_code}",
        style="default",
    )
    return Group(*parts, Text(), line)


def _table(matrix: KillMatrix) -> Table:
    table = Table(title="faults", title_justify="left")
    for column in ("fault", "in", *CHECKS, "dtypes"):
        table.add_column(column)
    for fault in matrix.faults:
        names = [view.mark_of(fault, check) for check in CHECKS]
        marks = [Text(view.MARKS[name].symbol, style=STYLES[name]) for name in names]
        style = "default" if view.standing_of(fault) == "named" else "bold red"
        dtypes = " ".join(view.dtypes_of(fault))
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
