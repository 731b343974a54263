"""The report as Markdown, for the summary page of a CI: the verdict, the failures by cause, then the tables.

Every text is escaped for Markdown and HTML both, since a summary page renders the two. Knows no other view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.history.standing import Standing
from harness.records.faults import KillSummary
from harness.records.results import FullCountRow, Measured, Measurement, Report, Result
from reports import view
from reports.text import clip, counted, duration, number, one_line, printable, safe_link, tail

_SPECIAL = re.compile(r"[\\`*\[\]|~#<>&@$_!]|(?<=:)//|(?<=www)\.")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;", "$": "&#36;", "//": "&#47;&#47;", ".": "&#46;"}
# What follows the verdict line may be dropped; the reserve keeps room to say so.
_RESERVE_BYTES = 400


class Block(NamedTuple):
    """A part of the summary that is kept whole or left out; `label` names it where it is left out."""

    label: str
    text: str


def render(report: Report, *, limit_bytes: int = 1024 * 1024) -> str:
    """The summary, at most `limit_bytes` long in UTF-8. What does not fit is left out by whole blocks, and named."""
    return fitted(_verdict(report), _blocks(report), limit_bytes)


def fitted(first: str, blocks: Iterable[Block], limit_bytes: int) -> str:
    """`first`, and as many of `blocks` as `limit_bytes` has room for; those that are left out are named."""
    kept = [first]
    left_out: list[str] = []
    room = limit_bytes - _size(first) - _RESERVE_BYTES
    for block in blocks:
        if _size(block.text) + 2 <= room:
            kept.append(block.text)
            room -= _size(block.text) + 2
        else:
            left_out.append(block.label)
    if left_out:
        named = ", ".join(left_out[:4]) + (f" and {len(left_out) - 4} more" if len(left_out) > 4 else "")
        kept.append(
            clip(f"_Left out to stay within {limit_bytes} bytes: {named}. The JSON report holds all of it._", 340)
        )
    text = "\n\n".join(kept) + "\n"
    return text.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def escape(text: str, limit: int = 300) -> str:
    """`text` on one line, such that neither Markdown nor HTML finds anything in it: no markup, mention or link."""
    return _SPECIAL.sub(lambda match: _ENTITIES.get(match[0], "\\" + match[0]), one_line(text, limit))


def code(text: str, limit: int = 300) -> str:
    """`text` as code on one line; with backticks or pipes in it, which a code span in a table cannot hold, escaped."""
    line = one_line(text, limit)
    if not line:
        return ""
    return f"<code>{escape(line, 0)}</code>" if re.search(r"[`|]", line) else f"`{line}`"


def fence(text: str, language: str = "") -> str:
    """`text` in a fenced block whose fence is longer than any run of backticks inside."""
    text = printable(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are already escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _verdict(report: Report) -> str:
    kind = {"PASS": Standing.PASSED, "INCONCLUSIVE": Standing.INCONCLUSIVE}.get(report.verdict, Standing.FAILED)
    symbol = {Standing.PASSED: "✅", Standing.INCONCLUSIVE: "❔"}.get(kind, "❌")
    if report.exit_code and kind is Standing.PASSED:
        symbol = "❌"
    meaning = view.EXIT_CODES.get(report.exit_code, "not one of deltaproof's")
    return (
        f"## {symbol} {report.verdict}: {escape(report.headline)}\n\n"
        f"{view.tally(report.results).sentence or 'no results'} · exit {report.exit_code} ({meaning}) · "
        f"{duration(report.duration_s)} · {code(report.command, 120)}\n\n**Next:** {escape(view.next_step(report))}"
    )


def _blocks(report: Report) -> list[Block]:
    blocks = [
        Block(
            f"why {escape(cell.name, 40)} was not built",
            f"### ❌ {escape(cell.name)} was not built\n\n{fence(tail(cell.error, 4000))}",
        )
        for cell in report.cells
        if cell.error
    ]
    blocks += [
        Block(f"the cause {code(cluster.cause, 80)}", _cause(report, cluster)) for cluster in view.clusters(report)
    ]
    blocks += [Block(f"the grid of {escape(grid.form, 40)}", _grid(report, grid)) for grid in view.grids(report)]
    if report.full_count:
        blocks.append(Block("the full count", _full_count(report.full_count)))
    if view.known_groups(report):
        blocks.append(Block("the known outcomes", _known(report)))
    if report.cells:
        blocks.append(Block("the cells", _cells(report)))
    if report.faults is not None:
        blocks.append(Block("who checks the checker", _checker(report.faults)))
    return blocks


def _cause(report: Report, cluster: view.Cluster) -> str:
    example = cluster.example
    symbol = "❔" if cluster.standing is Standing.INCONCLUSIVE else "❌"
    concerned = [cluster.size, f"written by {_list(cluster.writers)}"]
    concerned += [f"read by {_list(cluster.readers)}"] if cluster.readers else []
    concerned += [_list(cluster.forms)] if cluster.forms else []
    concerned.append(f"{counted(len(cluster.cases), 'case')}: {_list(cluster.cases)}")
    lines = [
        f"### {symbol} {code(cluster.cause, 200)}",
        "",
        " · ".join(concerned),
        "",
        f"For example {code(example.id)}:",
        "",
    ]
    lines += [f"- {escape(text, 600)}" for text in _facts(report, example)]
    link = safe_link(example.known_link)
    if link:
        lines.append(f"- issue: {escape_link(link)}")
    lines += ["", fence(one_line(example.rerun, 2000), "sh")]
    if example.crash:
        lines += [
            "",
            "<details><summary>its last words</summary>",
            "",
            fence(tail(example.crash, 4000)),
            "",
            "</details>",
        ]
    return "\n".join(lines)


def escape_link(link: str) -> str:
    """A web address as an autolink; characters that would end it are percent-encoded."""
    return "<" + re.sub(r"[<>\"'`|\\\s]", lambda match: f"%{ord(match[0]):02X}", link) + ">"


def _facts(report: Report, result: Result) -> list[str]:
    """What a failure shows, in the order in which one asks."""
    check = view.leading_check(result)
    facts = [f"What failed: {view.what_failed(result)}", f"Is it new: {result.disposition} {result.known}"]
    facts += [f"How far off: {view.check_sentence(check)}"] if check else []
    good = result.last_good
    if good:
        facts.append(f"Last good: {good.metric} = {number(good.value)} in run {good.run_id} of {good.started_at}")
    facts += [f"First to diverge: {result.first_diverging}"] if result.first_diverging else []
    for finding in result.judgement.findings[:1]:
        places = [f"layer {finding.where.layer}"] if finding.where.layer is not None else []
        places += [f"expert {finding.where.expert}"] if finding.where.expert is not None else []
        places += [finding.where.tensor] if finding.where.tensor else []
        if places:
            facts.append(f"Where: {', '.join(places)}" + (f" (×{finding.num_alike})" if finding.num_alike > 1 else ""))
    if good:
        moved = [
            f"{each.cell}: {each.package} {each.earlier or 'none'} → {each.later or 'none'}" for each in good.packages
        ]
        facts.append(f"Packages since then: {'; '.join(moved) or 'unchanged'}")
    differing = view.package_differences(report, result)[:6]
    if differing:
        named = [f"{each.package} {each.writer or 'none'} → {each.reader or 'none'}" for each in differing]
        facts.append(f"Packages from writer to reader: {', '.join(named)}")
    alike = view.resembles(report, result)
    facts += [f"Known: {result.known_reason}"] if result.known_reason else []
    facts += [f"Resembles the known {alike.known}: {alike.known_reason}"] if alike else []
    facts += [f"What to do: {result.what_to_do}"] if result.what_to_do else []
    return facts


def _grid(report: Report, grid: view.Grid) -> str:
    title = {"write": "Trained and saved", "lora": "Adapter (lora)", "merged": "Merged"}.get(
        grid.form, escape(grid.form)
    )
    header = ["writer ↓ reader →" if grid.form != "write" else "writer"]
    header += [escape(reader, 40) or "itself" for reader in grid.readers]
    rows = [[f"**{escape(writer, 40)}**", *(_square(square) for square in squares)] for writer, squares in grid.rows]
    return f"### {title}\n\n{table(header, rows)}"


def _square(square: view.Square) -> str:
    if square.tally is None:
        return "·" if square.built else "not built"
    return f"{view.SYMBOLS[square.tally.leading]} {square.tally.share}"


def _full_count(rows: Sequence[FullCountRow]) -> str:
    packages = view.principal_columns(row.versions for row in rows)
    header = [
        *packages,
        "merged tensors",
        "trained vs merged KL (all / equal routing)",
        "ratio",
        "samples",
        "verdict",
    ]
    return "### At full count\n\n" + table(
        header,
        [
            [
                *(escape(row.versions.get(name, ""), 40) for name in packages),
                f"{row.merged} / {row.attempted}",
                _two_divergences(row),
                _value(row.ratio_equal_routing),
                f"{row.samples_equal} / {row.num_samples}",
                row.verdict,
            ]
            for row in rows
        ],
    )


def _value(measurement: Measurement) -> str:
    return number(measurement.value) if isinstance(measurement, Measured) else "not measured"


def _two_divergences(row: FullCountRow) -> str:
    divergences = f"{_value(row.kl_trained_reloaded_max)} / {_value(row.kl_trained_reloaded_equal_routing_max)}"
    return f"{divergences} ({row.num_positions_equal_routing} of {row.num_positions} positions)"


def _known(report: Report) -> str:
    rows = []
    for name, results in view.known_groups(report):
        link = safe_link(results[0].known_link)
        reason = escape(results[0].known_reason, 500) + (f" {escape_link(link)}" if link else "")
        rows.append([code(name, 100), view.dispositions(results), reason, escape(results[0].known_expires, 20)])
    return "### Known outcomes\n\n" + table(["declaration", "stands", "why", "look again"], rows)


def _cells(report: Report) -> str:
    versions = {cell.name: view.principal_versions(cell) for cell in report.cells}
    packages = view.principal_columns(versions.values())
    header = ["cell", *packages, "python", "lock", "why"]
    rows = [
        [
            f"**{escape(cell.name, 40)}**" + (" (not built)" if cell.error else ""),
            *(escape(versions[cell.name].get(name, ""), 40) for name in packages),
            escape(cell.python, 20),
            code(cell.lock_digest[:12]),
            escape(cell.why),
        ]
        for cell in report.cells
    ]
    return "### Cells\n\n" + table(header, rows)


def _checker(faults: KillSummary) -> str:
    symbol = "❌" if faults.exit_code else "✅"
    chosen = f", of those that match {code(faults.expression, 120)}" if faults.expression else ""
    numbers = f"{faults.num_caught} of {counted(faults.num_faults, 'known bug')} caught and named{chosen}"
    return (
        f"### Who checks the checker\n\n{symbol} {numbers}, {counted(faults.num_false_alarms, 'false alarm')} in "
        f"{counted(faults.num_controls, 'clean run')} · {escape(faults.started_at, 40)} · seed {faults.seed} · "
        f"{code(faults.run_id, 100)}"
    )


def _list(names: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(escape(name, 60) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
