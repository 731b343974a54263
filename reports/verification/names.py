"""Many tensor names said as few patterns: `model.layers.{0-11}.mlp.experts.{5,17}.{gate,up}_proj.weight`.

Exact: patterns stand for the names given, for no other, and for each once. Knows no findings and no families.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

MAX_SEGMENTS = 32
"""A name with more is a stranger's joke, and stands for itself."""
MAX_PIECES = 8
"""Of what stands between two braces: beyond that the number of the rest is said."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")

Segment = frozenset[str]
Box = tuple[Segment, ...]
"""The names that take one of its words at each place."""


class NamePattern(NamedTuple):
    """A text that stands for `num_names` names."""

    text: str
    num_names: int


def patterns(names: Iterable[str]) -> tuple[NamePattern, ...]:
    """Few patterns that together are exactly `names`, in the order in which their first names come."""
    segments: dict[str, Segment] = {}  # one object a word: hashed for each of 50,000 names
    boxes: list[Box] = [
        tuple(segments.setdefault(word, frozenset((word,))) for word in _split(name)) for name in dict.fromkeys(names)
    ]
    # Experts before layers, and both before words: a layer that lacks one expert then stands apart, and no more.
    for is_wanted in (_is_number, _is_word):
        for place in reversed(range(max(map(len, boxes), default=0))):
            boxes = _joined(boxes, place, is_wanted)
    return tuple(NamePattern(".".join(map(_said, box)), math.prod(map(len, box))) for box in boxes)


def numbers_said(numbers: Iterable[int]) -> str:
    """Whole numbers as ranges: `0-3,5,7-9`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    pieces = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs]
    left_out = sum(map(len, runs[MAX_PIECES:]))
    return ",".join(pieces[:MAX_PIECES]) + (f",… {left_out} more" if left_out else "")


def _split(name: str) -> list[str]:
    segments = name.split(".", MAX_SEGMENTS)
    return [name] if len(segments) > MAX_SEGMENTS else segments


def _joined(boxes: list[Box], place: int, is_wanted: Callable[[Segment], bool]) -> list[Box]:
    """Boxes that differ at `place` alone, as one."""
    found: dict[Box, set[str]] = {}
    for box in boxes:
        if len(box) > place and is_wanted(box[place]):
            found.setdefault((*box[:place], frozenset(), *box[place + 1 :]), set()).update(box[place])
        else:
            found[box] = set()
    return [(*box[:place], frozenset(words), *box[place + 1 :]) if words else box for box, words in found.items()]


def _is_number(segment: Segment) -> bool:
    return all(map(_NUMBER.fullmatch, segment))


def _is_word(segment: Segment) -> bool:
    return not _is_number(segment)


def _said(segment: Segment) -> str:
    if len(segment) == 1:
        return next(iter(segment))
    if _is_number(segment):
        return f"{{{numbers_said(map(int, segment))}}}"
    words = sorted(segment)
    ending = _shared_ending(words)
    pieces = [word.removesuffix(ending) for word in words]
    left_out = f",… {len(words) - MAX_PIECES} more" if len(words) > MAX_PIECES else ""
    return f"{{{','.join(pieces[:MAX_PIECES])}{left_out}}}{ending}"


def _shared_ending(words: list[str]) -> str:
    """`_proj` of gate_proj, up_proj and down_proj: what follows an underscore, and leaves something of each."""
    shortest, ending = min(map(len, words)), ""
    for place in range(1, shortest):
        if len({word[-place:] for word in words}) > 1:
            break
        if words[0][-place] == "_":
            ending = words[0][-place:]
    return ending
