"""A verification in sentences: the headline, the counts, time and bytes. Not cleaned; knows no output format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from harness.verify.report import FilesSeen, Verdict, VerifyReport
from reports.text import counted, duration
from reports.verification.advice import KINDS, Total
from reports.verification.names import numbers_said

MAX_CAUSES = 3
"""How many kinds of errors the headline names."""
RATED_BYTES = 100 << 20
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")

HEADLINES: Mapping[Verdict, str] = {
    Verdict.CONTAINS: "all of the adapter is in {merged}, and nothing else changed",
    Verdict.FITS: "the adapter fits {base}: each of the {targeted} that it adapts is there",
    Verdict.WRONG_VALUES: "what is in {merged} is not base with this adapter",
    Verdict.WRONG_LAYOUT: "the adapter went in under another layout",
    Verdict.BASE_UNCHANGED: "none of the adapter is in {merged}",
    Verdict.PARTIAL: "a part of the adapter is not in {merged}",
    Verdict.LOST_TO_ROUNDING: "less than half of the adapter is left in {merged} after rounding",
    Verdict.INCOMPLETE: "all of the adapter is in {merged}, and something else that the model needs is not as in base",
    Verdict.INCONCLUSIVE: "it cannot be told whether the adapter is in {merged}",
}
HEADLINES_OF_ADAPTER: Mapping[Verdict, str] = {
    Verdict.PARTIAL: "a part of the adapter has no place in {base}",
    Verdict.INCOMPLETE: "the adapter has its places in {base}, and something beside it is wrong",
    Verdict.INCONCLUSIVE: "it cannot be told whether the adapter fits {base}",
}
HEADLINE_OF_ANY_ADAPTER = "the adapter does not fit {base}"


class Count(NamedTuple):
    """One line of counts."""

    name: str
    """As the JSON calls it."""
    words: str
    is_good: bool
    """Whether nothing in it is amiss."""


def headline(report: VerifyReport) -> str:
    """The verdict in words, with what led to it."""
    sentence = _sentence(report).format(
        merged="" if report.merged is None else report.merged.directory,
        base=report.base.directory,
        targeted=counted(report.tensors.targeted, "weight"),
    )
    if not report.verdict.exit_code:
        warnings = sum(finding.severity == "warning" for finding in report.findings)
        return f"{sentence} ({counted(warnings, 'warning')})" if warnings else sentence
    causes = _causes(report)
    return f"{sentence}: {', '.join(causes)}" if causes else sentence


def counts(report: VerifyReport) -> tuple[Count, ...]:
    """What was counted; of an adapter alone, only what it targets."""
    tensors, experts, others = report.tensors, report.experts, report.passthrough
    if report.merged is None:
        found = [Count("tensors", f"{tensors.targeted} targeted", tensors.targeted > 0)]
        if experts.attempted:
            found.append(Count("experts", f"{experts.attempted} attempted", True))
    else:
        words = f"{tensors.targeted} targeted: {tensors.matched} matched, {tensors.unchanged} unchanged, "
        found = [Count("tensors", f"{words}{tensors.wrong} wrong", tensors.matched == tensors.targeted > 0)]
        if experts.attempted:
            words = f"{experts.attempted} attempted: {experts.applied} applied, {experts.fallback} fallback"
            found.append(Count("experts", words, not experts.fallback))
        words = f"{others.compared} compared: {others.identical} identical"
        found.append(Count("passthrough", words, others.compared == others.identical))
    layout = [f"fused {report.layout.fused}"] if report.layout.fused else []
    layout += [f"packing {report.layout.packing}"] if report.layout.packing else []
    layout += ["ambiguous"] if report.layout.ambiguous else []
    if layout:
        found.append(Count("layout", ", ".join(layout), not report.layout.ambiguous))
    return tuple(found)


def effort(report: VerifyReport) -> str:
    """Bytes, time, and the rate where it says something: of a small checkpoint the start takes most of the time."""
    took, read = report.timing.duration_s, report.timing.read_bytes
    rate = f" ({size(read / took)} per second)" if took > 0 and read >= RATED_BYTES else ""
    return f"{size(read)} read in {duration(took)}{rate}"


def directories(report: VerifyReport) -> tuple[tuple[str, FilesSeen], ...]:
    """What was read, by its role."""
    merged = (("merged", report.merged),) if report.merged is not None else ()
    return (("base", report.base), ("adapter", report.adapter), *merged)


def severities(report: VerifyReport) -> str:
    """How many findings of each severity: "128 errors, 1 warning"."""
    found = Counter(finding.severity for finding in report.findings)
    return ", ".join(counted(found[each], each) for each in ("error", "warning", "note") if found[each])


def size(size_bytes: float) -> str:
    """Bytes as people say them: 512 bytes, 3.6 GiB."""
    unit = 0
    while size_bytes >= 1000 and unit < len(UNITS) - 1:
        size_bytes /= 1024
        unit += 1
    return f"{size_bytes:.0f} {UNITS[unit]}" if unit == 0 or size_bytes >= 100 else f"{size_bytes:.1f} {UNITS[unit]}"


def _sentence(report: VerifyReport) -> str:
    if report.merged is None and report.verdict is not Verdict.FITS:
        return HEADLINES_OF_ADAPTER.get(report.verdict, HEADLINE_OF_ANY_ADAPTER)
    return HEADLINES[report.verdict]


def _causes(report: VerifyReport) -> list[str]:
    """The kinds of the errors in words, in the order of the findings; of warnings where there is no error."""
    found = [finding for finding in report.findings if finding.severity == "error"]
    found = found or [finding for finding in report.findings if finding.severity == "warning"]
    kinds = list(dict.fromkeys(finding.kind for finding in found))
    said = [_cause(report, kind, [each.layer for each in found if each.kind == kind]) for kind in kinds[:MAX_CAUSES]]
    return said + ([f"{len(kinds) - MAX_CAUSES} more kinds of findings"] if len(kinds) > MAX_CAUSES else [])


def _cause(report: VerifyReport, kind: str, places: Sequence[int | None]) -> str:
    if kind not in KINDS:
        return f"{kind} ({len(places)})"
    meaning, num = KINDS[kind], len(places)
    total = _total(report, meaning.total)
    said = meaning.says.format(
        count=f"{num} of {total}" if num <= total else num,
        weights="weight" if (total if num <= total else num) == 1 else "weights",
        are="is" if num == 1 else "are",
        have="has" if num == 1 else "have",
    )
    layers = {layer for layer in places if layer is not None}
    return f"{said} ({'layer' if len(layers) == 1 else 'layers'} {numbers_said(layers)})" if layers else said


def _total(report: VerifyReport, of: Total) -> int:
    """What the findings of a kind are counted against; 0 for nothing."""
    totals = {"adapted": report.tensors.targeted, "experts": report.experts.attempted}
    return {**totals, "others": report.passthrough.compared, "": 0}[of]
