"""The kill matrix as Markdown, for the summary page of a CI: the numbers, what is missed, then all of it.

Every text is escaped as in the summary of a run. Knows no other view.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.records.faults import CHECKS, FaultResult, KillMatrix
from reports.faults import view
from reports.markdown import Block, code, escape, fence, fitted, table
from reports.text import counted, duration, one_line
from reports.view import EXIT_CODES, principal_columns


def render(matrix: KillMatrix, *, limit_bytes: int = 1024 * 1024) -> str:
    """The summary, at most `limit_bytes` long in UTF-8. What does not fit is left out by whole blocks, and named."""
    return fitted(_numbers(matrix), _blocks(matrix), limit_bytes)


def _numbers(matrix: KillMatrix) -> str:
    symbol = "❌" if matrix.exit_code else "✅"
    found = view.tally(matrix.faults)
    counts = f"{found.num_named} named, {found.num_caught} caught and not named, {found.num_missed} missed"
    meaning = EXIT_CODES.get(matrix.exit_code, "not one of deltaproof's")
    chosen = f" · only what matches {code(matrix.expression, 120)}" if matrix.expression else ""
    return (
        f"## {symbol} {view.headline(matrix)}\n\n"
        f"{counts} · seed {matrix.seed} · exit {matrix.exit_code} ({meaning}) · {duration(matrix.duration_s)} · "
        f"{code(matrix.command, 120)}{chosen}\n\n**Next:** {escape(view.next_step(matrix))}"
    )


def _blocks(matrix: KillMatrix) -> Iterator[Block]:
    alarms = [
        f"- {code(control.case, 120)}, seed {control.seed}: {escape(alarm, 400)}"
        for control in matrix.controls
        for alarm in control.alarms
    ]
    if alarms:
        yield Block("the false alarms", "\n".join(["### ❌ False alarms", "", *alarms]))
    yield Block("the areas and checks", f"{_areas(matrix)}\n\n{_checks(matrix)}")
    for fault in matrix.faults:
        if view.standing_of(fault) != "named":
            yield Block(f"the fault {code(fault.name, 80)}", _trouble(fault))
    for area in view.areas(matrix):
        yield Block(f"the faults of {escape(area.name, 40)}", _marks(area))
    if matrix.versions:
        yield Block("the versions", _versions(matrix))


def _areas(matrix: KillMatrix) -> str:
    rows = [[escape(area.name, 40), *map(str, area.tally)] for area in view.areas(matrix)]
    return table(["area", "faults", "named", "not named", "missed"], rows)


def _checks(matrix: KillMatrix) -> str:
    rows = [list(map(str, each)) for each in view.by_check(matrix)]
    return table(["check", "must catch", "named", "not named", "missed", "caught besides"], rows)


def _trouble(fault: FaultResult) -> str:
    lines = [
        f"### ❌ {code(fault.name, 100)} {'is not named' if fault.is_caught else 'is missed'}",
        "",
        f"{escape(fault.what, 600)} ({escape(fault.source, 300)})",
        "",
    ]
    lines += [
        f"- {each.check}, {escape(', '.join(each.dtypes), 60)}: {escape(each.says, 400)}"
        for each in view.troubles(fault)
    ]
    reruns = [one_line(case.rerun, 500) for case in fault.cases if view.standing_of_case(case) != "named"]
    return "\n".join([*lines, "", fence("\n".join(reruns), "sh")])


def _marks(area: view.Area) -> str:
    rows = [
        [code(fault.name, 100), *(view.MARKS[view.mark_of(fault, check)].symbol for check in CHECKS),
         escape(", ".join(view.dtypes_of(fault)), 60)]
        for fault in area.faults
    ]  # fmt: skip
    summary = f"{escape(area.name, 40)}: {counted(area.tally.num_faults, 'fault')}"
    legend = " · ".join(f"{mark.symbol} {mark.says}" for mark in view.MARKS.values() if mark.symbol)
    listed = table(["fault", *CHECKS, "dtypes"], rows)
    return f"<details><summary>{summary}</summary>\n\n{listed}\n\n{legend}\n\n</details>"


def _versions(matrix: KillMatrix) -> str:
    packages = principal_columns(matrix.versions.values())
    rows = [
        [f"**{escape(row, 40)}**", *(escape(versions.get(name, ""), 40) for name in packages)]
        for row, versions in matrix.versions.items()
    ]
    return "### Versions\n\n" + table(["row", *packages], rows)
