"""A `Comparison` for people: Markdown for a CI summary, plain text for a terminal. Compares nothing itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich.text import Text

from harness.history.compare import CellChange, Comparison, MeasurementChange, ResultChange
from harness.records.results import Measured, Measurement, PackageDelta
from reports.markdown import code, escape, table
from reports.text import counted, number, one_line, times
from reports.view import package_order

TITLES = {
    "worse": "Got worse",
    "appeared": "Appeared",
    "disappeared": "Disappeared",
    "other": "Changed otherwise",
    "better": "Got better",
}
STYLES = {"worse": "red", "better": "green"}
MAX_ROWS = 200


def headline(comparison: Comparison) -> str:
    """One line: what changed, and between which runs."""
    words = [
        f"{sum(each.change == change for each in comparison.results)} {title.lower()}"
        for change, title in TITLES.items()
        if any(each.change == change for each in comparison.results)
    ]
    if comparison.measurements:
        words.append(f"{counted(len(comparison.measurements), 'number')} moved {times(comparison.factor)} or more")
    what = ", ".join(words) or "nothing changed"
    compared = counted(comparison.num_compared, "result")
    runs = f"{one_line(comparison.earlier_run, 60)} → {one_line(comparison.later_run, 60)}"
    return f"{runs}: {what} ({compared} in both)"


def markdown(comparison: Comparison) -> str:
    """The comparison as Markdown: what got worse first, the packages that moved last."""
    blocks = [f"## {escape(headline(comparison), 600)}"]
    for change, title in TITLES.items():
        found = [each for each in comparison.results if each.change == change]
        if found:
            rows = [
                [
                    str(len(group)),
                    escape(_verdicts(group[0])),
                    escape(_causes(group[0])),
                    _examples(group),
                    _moved(group),
                ]
                for group in _alike(found)[:MAX_ROWS]
            ]
            header = ["results", "verdict", "cause", "for example", "packages that moved"]
            blocks.append(f"### {title} ({len(found)})\n\n{table(header, rows)}{_rest(_alike(found))}")
    if comparison.measurements:
        rows = [
            [code(each.id), escape(each.metric), escape(_values(each)), escape(_packages(each.packages))]
            for each in comparison.measurements[:MAX_ROWS]
        ]
        header = ["result", "metric", "value", "packages that moved"]
        blocks.append(f"### Numbers that moved\n\n{table(header, rows)}{_rest(comparison.measurements)}")
    if comparison.cells:
        rows = [[escape(each.cell, 60), escape(_cell(each), 2000)] for each in comparison.cells]
        blocks.append(f"### Cells\n\n{table(['cell', 'what changed'], rows)}")
    return "\n\n".join(blocks) + "\n"


def terminal(comparison: Comparison) -> Text:
    """The comparison for a terminal, in the same order."""
    text = Text(headline(comparison), style="bold")
    for change, title in TITLES.items():
        found = [each for each in comparison.results if each.change == change]
        if found:
            text.append(f"\n\n{title} ({len(found)})", style=f"bold {STYLES.get(change, 'default')}")
        for group in _alike(found)[:MAX_ROWS]:
            first = group[0]
            what = ", ".join(part for part in (_verdicts(first), _causes(first)) if part)
            text.append(f"\n  {counted(len(group), 'result')}: {one_line(what, 400)}", style="default not bold")
            packages = _packages(each for change in group for each in change.packages)
            for line in (f"for example {first.id}", packages):
                if line:
                    text.append(f"\n    {one_line(line, 600)}", style="default not bold")
            if first.counts:
                text.append(f"\n    {one_line(first.rerun, 2000)}", style="cyan not bold")
        text.append(_rest(_alike(found)), style="default not bold")
    if comparison.measurements:
        text.append("\n\nNumbers that moved", style="bold")
    for moved in comparison.measurements[:MAX_ROWS]:
        line = f"{one_line(moved.id, 200)}: {one_line(moved.metric, 80)} {_values(moved)}"
        text.append(f"\n  {line}", style="default not bold")
        if moved.packages:
            text.append(f"\n    {_packages(moved.packages)}", style="default not bold")
    text.append(_rest(comparison.measurements), style="default not bold")
    if comparison.cells:
        text.append("\n\nCells", style="bold")
    for cell in comparison.cells:
        text.append(f"\n  {one_line(cell.cell, 60)}: {one_line(_cell(cell), 2000)}", style="default not bold")
    return text


def _alike(found: Sequence[ResultChange]) -> list[list[ResultChange]]:
    """Changes grouped by what they say, the largest group that counts first: one upstream change breaks many routes."""
    groups: dict[tuple[bool, str, str], list[ResultChange]] = defaultdict(list)
    for each in found:
        groups[each.counts, _verdicts(each), _causes(each)].append(each)
    return sorted(groups.values(), key=lambda group: (not group[0].counts, -len(group), group[0].id))


def _examples(group: Sequence[ResultChange], limit: int = 3) -> str:
    shown = ", ".join(code(each.id) for each in group[:limit])
    return shown + (", …" if len(group) > limit else "")


def _moved(group: Sequence[ResultChange]) -> str:
    return escape(_packages(each for change in group for each in change.packages), 1000)


def _rest(found: Sequence[object]) -> str:
    return f"\n\nand {len(found) - MAX_ROWS} more" if len(found) > MAX_ROWS else ""


def _verdicts(change: ResultChange) -> str:
    return f"{change.earlier or 'absent'} → {change.later or 'absent'}"


def _causes(change: ResultChange) -> str:
    if change.earlier_cause == change.later_cause:
        return change.later_cause
    return " → ".join(cause or "none" for cause in (change.earlier_cause, change.later_cause))


def _values(change: MeasurementChange) -> str:
    text = f"{_value(change.earlier)} → {_value(change.later)}"
    return f"{text} ({times(change.factor)})" if change.factor is not None else text


def _value(measurement: Measurement) -> str:
    if isinstance(measurement, Measured):
        return number(measurement.value)
    return f"not measured ({one_line(measurement.reason, 200)})"


def _packages(deltas: Iterable[PackageDelta], limit: int = 8) -> str:
    ordered = sorted(set(deltas), key=lambda each: (each.cell, package_order(each.package)))
    shown = [
        one_line(f"{each.cell}: {each.package} {each.earlier or 'none'} → {each.later or 'none'}", 200)
        for each in ordered[:limit]
    ]
    return "; ".join(shown) + (f"; and {len(ordered) - limit} more" if len(ordered) > limit else "")


def _cell(change: CellChange) -> str:
    if change.change != "changed":
        return change.change
    if change.later_error and not change.earlier_error:
        return f"could be built, and now cannot: {change.later_error}"
    if change.earlier_error and not change.later_error:
        return "could not be built, and now can"
    return _packages(change.packages, 40) or "other lock, same versions"
