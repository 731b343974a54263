"""Findings that say the same of many tensors, as one group; what differs between them is generalised, never guessed.

Knows no output format: texts are as the files had them, and each renderer cleans them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from harness.verify.records import Finding, Severity
from reports.text import counted
from reports.verification.names import NamePattern, numbers_said, patterns

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""Gravest first."""
THE_TENSOR = "the tensor"
"""What stands in a group's message for the names of its tensors."""
MAX_TEXT = 2000
"""Characters of a text that are compared with others: what is longer is a stranger's, and its end says no more."""

MAX_LISTED = 5
"""Ranges of whole numbers in a message; more are said as one."""

# A number that stands alone: `-0.51`, `1e-3`, `12` of `layers.12`; not the digits of float32, w1 or lora_A2.
_ONE = r"(?:(?<![^\s(=])-)?+(?<!\w)\d++(?:\.\d++)?(?:[eE][+-]?\d++)?(?![A-Za-z_])"
_NUMBER = re.compile(_ONE)
# As many as are said in a row: `0 to 3, 7 and 2 more`, `12, 407`.
_NUMBERS = re.compile(rf"{_ONE}(?:(?:, ?| to | and ){_ONE})*+")
_GAP = "\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Findings of one kind and severity whose messages differ in numbers and names alone."""

    kind: str
    severity: Severity
    findings: tuple[Finding, ...]
    names: tuple[NamePattern, ...]
    """What their tensors are called, the pattern of most first; none where no tensor is concerned."""
    message: str
    """Theirs; numbers that differ as a list or a range in braces."""
    expected: str
    """As `message`; what cannot be said as one text is the first's, with the number of others."""
    got: str

    @property
    def size(self) -> int:
        """How many findings."""
        return len(self.findings)


def grouped(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """Groups of alike `findings`: errors, then warnings, then notes, each in the order of their first."""
    alike: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in findings:
        skeleton, _ = _taken_apart(_without_name(finding))
        alike.setdefault((finding.severity, finding.kind, skeleton), []).append(finding)
    return tuple(sorted(map(_group, alike.values()), key=lambda group: SEVERITIES.index(group.severity)))


def _group(findings: Sequence[Finding]) -> Group:
    first = findings[0]
    names = patterns(finding.tensor for finding in findings if finding.tensor)
    return Group(
        kind=first.kind,
        severity=first.severity,
        findings=tuple(findings),
        names=tuple(sorted(names, key=lambda pattern: -pattern.num_names)),
        message=first.message if len(findings) == 1 else _generalised(map(_without_name, findings)),
        expected=_generalised(finding.expected for finding in findings),
        got=_generalised(finding.got for finding in findings),
    )


def _without_name(finding: Finding) -> str:
    message = f" {finding.message[:MAX_TEXT]} "
    if finding.tensor and finding.tensor in message:
        for end in " ,:;":
            message = message.replace(f" {finding.tensor}{end}", f" {THE_TENSOR}{end}")
    return message[1:-1]


def _generalised(texts: Iterable[str]) -> str:
    """One text for all of `texts`."""
    distinct = list(dict.fromkeys(text[:MAX_TEXT] for text in texts))
    return _as_one(distinct, _NUMBERS) or f"{distinct[0]} (and {counted(len(distinct) - 1, 'other')})"


def _as_one(texts: Sequence[str], gaps: re.Pattern[str]) -> str | None:
    """One text for all of `texts`, if they differ in what matches `gaps` alone."""
    if len(set(texts)) == 1:
        return texts[0]
    skeletons, rows = zip(*(_taken_apart(text, gaps) for text in texts), strict=True)
    if len(set(skeletons)) > 1:
        return None
    said = [_said(column) for column in zip(*rows, strict=True)]
    return "".join(map(str.__add__, skeletons[0].split(_GAP), [*said, ""]))


def _taken_apart(text: str, gaps: re.Pattern[str] = _NUMBERS) -> tuple[str, list[str]]:
    """`text` with gaps for its numbers, and the numbers."""
    text = text.replace(_GAP, " ")
    return gaps.sub(_GAP, text), gaps.findall(text)


def _said(values: Sequence[str]) -> str:
    """A number as it is, few whole ones as a list, others as their range, rows of numbers one by one if they can be."""
    if not all(map(_NUMBER.fullmatch, values)):
        return _as_one(values, _NUMBER) or "…"
    distinct = sorted(set(values), key=float)
    if len(distinct) == 1:
        return distinct[0]
    if all(value.isdecimal() and len(value) < 10 for value in distinct):
        listed = numbers_said(map(int, distinct))
        if listed.count(",") < MAX_LISTED:
            return f"{{{listed}}}"
    return f"{{{distinct[0]} … {distinct[-1]}}}"
