"""The report for a terminal, as rich renderables for stderr: the verdict, the causes, the grid, the full count.

Builds `Text`, never rich markup, so that brackets in a file's text stay brackets. Knows no other view.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.history.standing import Standing
from harness.records.results import Measured, Measurement, Report
from reports import view
from reports.text import counted, duration, number, one_line, tail

STYLES = {
    Standing.FAILED: "red",
    Standing.INCONCLUSIVE: "yellow",
    Standing.KNOWN: "magenta",
    Standing.SKIPPED: "bright_black",
    Standing.PASSED: "green",
}
MAX_CAUSES = 12


def summary(report: Report) -> RenderableType:
    """The whole summary; the verdict stands last, where the eye is when a command ends."""
    parts: list[RenderableType] = []
    grids = view.grids(report)
    parts += [_grid(grid) for grid in grids if grid.form != "write"]
    if report.full_count:
        parts.append(_full_count(report))
    for cell in report.cells:
        if cell.error:
            parts.append(Text(f"✕ {one_line(cell.name, 40)} was not built", style="bold red"))
            parts.append(Padding(Text(tail(cell.error, 1500)), (0, 0, 0, 2)))
    found = view.clusters(report)
    parts += [_cause(cluster) for cluster in found[:MAX_CAUSES]]
    if len(found) > MAX_CAUSES:
        parts.append(Text(f"and {counted(len(found) - MAX_CAUSES, 'more cause')} in the report", style="bright_black"))
    parts.append(_verdict(report))
    spaced: list[RenderableType] = []
    for part in parts:
        spaced += [Text(), part]
    return Group(*spaced)


def _verdict(report: Report) -> Text:
    kind = {"PASS": Standing.PASSED, "INCONCLUSIVE": Standing.INCONCLUSIVE}.get(report.verdict, Standing.FAILED)
    if report.exit_code and kind is Standing.PASSED:
        kind = Standing.FAILED
    line = Text(f"{view.SYMBOLS[kind]} {report.verdict} ", style=f"bold {STYLES[kind]}")
    line.append(one_line(report.headline, 300), style="bold not dim")
    line.append(
        f"\n{view.tally(report.results).sentence or 'no results'} · {duration(report.duration_s)}", style="default"
    )
    meaning = view.EXIT_CODES.get(report.exit_code, "not one of deltaproof's")
    line.append(f" · exit {report.exit_code} ({meaning})\n{view.next_step(report)}", style="default")
    return line


def _grid(grid: view.Grid) -> Table:
    table = Table(title=f"{grid.form}: writer ↓ reader →", title_justify="left", title_style="bold", box=None)
    table.add_column("", justify="right", style="bold")
    for reader in grid.readers:
        table.add_column(one_line(reader, 12), justify="center")
    for writer, squares in grid.rows:
        table.add_row(Text(one_line(writer, 24)), *(_square(square) for square in squares))
    return table


def _square(square: view.Square) -> Text:
    if square.tally is None:
        return Text("·" if square.built else "not built", style="bright_black")
    leading = square.tally.leading
    return Text(f"{view.SYMBOLS[leading]} {square.tally.share}", style=STYLES[leading])


def _cause(cluster: view.Cluster) -> Text:
    style = STYLES[cluster.standing]
    text = Text(f"{view.SYMBOLS[cluster.standing]} {one_line(cluster.cause, 200)}", style=f"bold {style}")
    concerned = f"{cluster.size}, written by {', '.join(cluster.writers)}"
    if cluster.readers:
        concerned += f", read by {', '.join(cluster.readers)} ({', '.join(cluster.forms)})"
    check = view.leading_check(cluster.example)
    lines = [concerned, view.what_failed(cluster.example)]
    lines += [view.check_sentence(check)] if check and check.verdict != "PASS" else []
    lines += [cluster.example.what_to_do] if cluster.example.what_to_do else []
    for line in lines:
        text.append(f"\n  {one_line(line, 300)}", style="default not bold")
    text.append(f"\n  {one_line(cluster.example.rerun, 2000)}", style="cyan not bold")
    return text


def _full_count(report: Report) -> Table:
    table = Table(title="at full count", title_justify="left", title_style="bold", box=None)
    packages = view.principal_columns(row.versions for row in report.full_count)
    for name in (*packages, "merged tensors", "KL all / equal routing", "ratio", "samples", "verdict"):
        table.add_column(name)
    for row in report.full_count:
        kind = {"PASS": Standing.PASSED, "INCONCLUSIVE": Standing.INCONCLUSIVE}.get(row.verdict, Standing.FAILED)
        cells = [one_line(row.versions.get(name, ""), 20) for name in packages]
        cells.append(f"{row.merged} / {row.attempted}")
        cells.append(f"{_value(row.kl_trained_reloaded_max)} / {_value(row.kl_trained_reloaded_equal_routing_max)}")
        cells += [_value(row.ratio_equal_routing), f"{row.samples_equal} / {row.num_samples}"]
        verdict = Text(f"{view.SYMBOLS[kind]} {row.verdict}", style=STYLES[kind])
        table.add_row(*(Text(cell) for cell in cells), verdict)
    return table


def _value(measurement: Measurement) -> str:
    return number(measurement.value) if isinstance(measurement, Measured) else "not measured"
